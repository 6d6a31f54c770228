/** The plot of bench/scale.mjs: three panels over a logarithmic number of sessions. Readable in light and dark. */

const WIDTH = 260;
const HEIGHT = 150;
const GAP = 70;

export function plotScale(grown, listed) {
  const panels = [
    panel('bytes per session', [
      { name: 'process', points: grown.map(({ sessions, perSession }) => [sessions, perSession]).slice(1) },
      { name: 'Redis', points: grown.map(({ sessions, redisPerSession }) => [sessions, redisPerSession]).slice(1) },
    ]),
    panel('CPU µs per warm request', [
      { name: 'required()', points: grown.map(({ sessions, cpu }) => [sessions, cpu]) },
    ]),
    panel("ms to list 50 of a user's sessions", [
      { name: 'list', points: listed.map(({ sessions, took }) => [sessions, took]) },
      { name: 'bare pipeline', points: listed.map(({ sessions, pipeline }) => [sessions, pipeline]) },
    ]),
  ];
  const width = panels.length * (WIDTH + GAP) + 20;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(HEIGHT + 80)}" font-family="sans-serif" font-size="11">
<style>
  text { fill: #24292f } .axis { stroke: #8c959f } .line { fill: none; stroke-width: 2 }
  .s0 { stroke: #0969da } .s1 { stroke: #bf5700 } text.s0 { fill: #0969da; stroke: none } text.s1 { fill: #bf5700; stroke: none }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .s0 { stroke: #58a6ff } .s1 { stroke: #f0883e } text.s0 { fill: #58a6ff } text.s1 { fill: #f0883e } }
</style>
${panels.map((drawn, index) => `<g transform="translate(${String(50 + index * (WIDTH + GAP))} 40)">${drawn}</g>`).join('\n')}
</svg>
`;
}

function panel(title, series) {
  const points = series.flatMap((each) => each.points);
  const exponents = points.map(([sessions]) => Math.log10(sessions));
  const [low, high] = [Math.floor(Math.min(...exponents)), Math.ceil(Math.max(...exponents))];
  const top = roundUp(Math.max(...points.map(([, value]) => value)));
  const x = (sessions) => ((Math.log10(sessions) - low) / (high - low)) * WIDTH;
  const y = (value) => HEIGHT - (value / top) * HEIGHT;
  const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  return [
    `<text x="0" y="-22" font-weight="bold">${title}</text>`,
    ...series.map(
      ({ name }, index) => `<text class="s${String(index)}" x="${String(index * 80)}" y="-7">${name}</text>`,
    ),
    `<path class="axis" fill="none" d="M0 0V${String(HEIGHT)}H${String(WIDTH)}"/>`,
    ...[0, top / 2, top].map(
      (value) => `<text x="-5" y="${String(y(value) + 4)}" text-anchor="end">${short(value)}</text>`,
    ),
    ...ticks.map(
      (value) =>
        `<text x="${x(value).toFixed(1)}" y="${String(HEIGHT + 15)}" text-anchor="middle">${short(value)}</text>`,
    ),
    `<text x="${String(WIDTH / 2)}" y="${String(HEIGHT + 32)}" text-anchor="middle">sessions</text>`,
    ...series.map(({ points: drawn }, index) => {
      const corners = drawn.map(([sessions, value]) => `${x(sessions).toFixed(1)},${y(value).toFixed(1)}`);
      return `<polyline class="line s${String(index)}" points="${corners.join(' ')}"/>`;
    }),
  ].join('\n');
}

function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return Math.ceil((value / unit) * 2) * (unit / 2);
}

function short(value) {
  if (value >= 1e6) return `${String(value / 1e6)}M`;
  return value >= 1000 ? `${String(value / 1000)}k` : String(Number(value.toPrecision(3)));
}
