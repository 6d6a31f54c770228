/** The recipes of docs/telemetry.md as they stand there, in a process of their own; dashboard and alerts on what they tell. */

import { fork, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import jwt from 'jsonwebtoken';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { parse } from 'yaml';
import { codeBlocks } from '../support/readme.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { problemsOf, readScrape, type Scrape } from '../support/telemetry.js';
import { ISSUER, SECRET } from './logins.js';

const root = join(__dirname, '../..');
const read = (file: string): string => readFileSync(join(root, 'docs', file), 'utf8');
const blocks = codeBlocks('docs/telemetry.md', read('telemetry.md'));

/** The one block with these words. */
function blockWith(words: string): string {
  const [found, ...others] = blocks.filter(({ code }) => code.includes(words));
  if (found === undefined || others.length > 0) throw new Error(`docs/telemetry.md: one block with ${words}, please`);
  return found.code;
}

const AWAY = 'https://away.example/';
const SITE = `
import express from 'express';
import { context, metrics, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { managedSessions, redisStore } from 'managed-sessions';
import { metricsOf } from './prometheus.mjs';
import { measure } from './opentelemetry.mjs';
import { nameTheUser } from './span.mjs';

const spans = new InMemorySpanExporter();
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 2 ** 30 });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

const { issuer, redis } = JSON.parse(process.argv[2]);
const sessions = managedSessions({ issuer, store: redisStore(redis), storeTimeout: 5000, revocationBound: '20s' });
measure(sessions);
${blockWith('const inside = createServer')}

const app = express();
app.get('/ready', (_req, res) => res.sendStatus(sessions.health().feed.ok ? 200 : 503));
app.get('/opentelemetry', async (_req, res) => {
  await reader.forceFlush();
  const { scopeMetrics } = measured.getMetrics().at(-1);
  res.json({
    metrics: scopeMetrics.flatMap((scope) => scope.metrics),
    spans: spans.getFinishedSpans().map(({ attributes }) => attributes),
  });
});
app.use((req, res, next) => {
  const attributes = { 'test.expected': req.get('x-expected') ?? '' };
  trace.getTracer('http').startActiveSpan('GET', { attributes }, (span) => {
    res.on('finish', () => span.end());
    next();
  });
});
app.post('/logout', sessions.logout());
app.get('/', sessions.required(), nameTheUser, (req, res) => res.send(req.loginSession.handle));
inside.on('listening', () => {
  const server = app.listen(0, '127.0.0.1', () => process.send({ port: server.address().port, metrics: inside.address().port }));
});
process.on('disconnect', () => process.exit());
`;

interface Point {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: unknown;
}
interface Measured {
  readonly metrics: readonly {
    readonly descriptor: { readonly name: string; readonly unit: string; readonly type: string };
    readonly isMonotonic?: boolean;
    readonly dataPoints: readonly Point[];
  }[];
  readonly spans: readonly Readonly<Record<string, unknown>>[];
}

let folder: string;
let redis: TestRedis;
let child: ChildProcess;
let site: string;
let exposed: string;
let scrape: Scrape;
let measured: Measured;
/** By the name that a request expects: the handle that its session has. */
const handles = new Map<string, string>();
const tokens: string[] = [];
/** How long the first requests of all users took together, in seconds. */
let elapsed: number;

function tokenOf(sub: string, key: jwt.Secret = SECRET): string {
  const token = jwt.sign({ sub, sid: `sid-of-${sub}` }, key, { issuer: ISSUER, expiresIn: '1h' });
  tokens.push(token);
  return token;
}

async function get(token?: string, expected = '', path = '/'): Promise<[status: number, text: string]> {
  const headers = { 'x-expected': expected, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
  const answer = await fetch(site + path, { headers, method: path === '/' ? 'GET' : 'POST' });
  return [answer.status, await answer.text()];
}

async function visit(user: string, token: string): Promise<void> {
  const [status, text] = await get(token, user);
  expect(status).toBe(200);
  handles.set(user, text);
}

/** Every outcome that the dashboard and the alerts ask for. */
async function traffic(): Promise<void> {
  const users = Array.from({ length: 20 }, (_, index) => `u${String(index)}`);
  const known = new Map(users.map((user) => [user, tokenOf(user)]));
  const visitAll = (): Promise<unknown> => Promise.all(Array.from(known, ([user, token]) => visit(user, token)));
  const startedAt = performance.now();
  await visitAll();
  elapsed = (performance.now() - startedAt) / 1000;
  await visitAll();
  expect(await get()).toEqual([401, expect.any(String)]);
  expect(await get(tokenOf('u0', 'another secret that has 32 bytes'))).toEqual([401, expect.any(String)]);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const unverifiable = jwt.sign({ sub: 'u1' }, privateKey, { issuer: AWAY, algorithm: 'ES256', expiresIn: '1h' });
  expect(await get(unverifiable)).toEqual([503, expect.any(String)]);
  expect(await get(known.get('u0'), 'u0', '/logout')).toEqual([204, '']);
  await redis.kill();
  await eventually('a session that only the store knows gets 503', async () => (await get(tokenOf('late')))[0] === 503);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'managed-sessions-telemetry-'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await mkdir(join(folder, 'app/node_modules'), { recursive: true });
  await symlink(root, join(folder, 'app/node_modules/managed-sessions'));
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
  const files = {
    site: SITE,
    prometheus: blockWith('export function metricsOf'),
    opentelemetry: blockWith('export function measure'),
    span: blockWith('export const nameTheUser'),
  };
  for (const [name, code] of Object.entries(files)) {
    await writeFile(join(folder, `app/${name}.mjs`), transpileModule(code, { compilerOptions }).outputText);
  }
  redis = await startRedis();
  const issuer = [
    { issuer: ISSUER, secret: SECRET },
    { issuer: AWAY, jwksUri: 'http://127.0.0.1:9/jwks.json' },
  ];
  child = fork(join(folder, 'app/site.mjs'), [JSON.stringify({ issuer, redis: redis.url })], {
    execArgv: [],
    env: { ...process.env, METRICS_PORT: '0', NODE_NO_WARNINGS: '1' },
  });
  const [ports] = (await once(child, 'message')) as [{ port: number; metrics: number }];
  site = `http://127.0.0.1:${String(ports.port)}`;
  await eventually('the feed is fresh', async () => (await fetch(`${site}/ready`)).status === 200);
  await traffic();
  exposed = await (await fetch(`http://127.0.0.1:${String(ports.metrics)}/metrics`)).text();
  scrape = readScrape(exposed);
  measured = (await (await fetch(`${site}/opentelemetry`)).json()) as Measured;
});
afterAll(async () => {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

const valueOf = (name: string, labels: object): number | undefined =>
  scrape.samples.find((sample) => sample.name === name && isDeepStrictEqual(sample.labels, labels))?.value;

interface Row {
  readonly prometheus: string;
  readonly openTelemetry: string;
  readonly type: string;
  readonly unit: string;
  readonly labels: readonly string[];
}

/** The table of the metrics. */
const rows: readonly Row[] = read('telemetry.md')
  .split('\n')
  .filter((line) => line.startsWith('| `managed_sessions_'))
  .map((line) => {
    const cells = line.split('|').map((cell) => cell.replaceAll('`', '').trim());
    const [, prometheus = '', openTelemetry = '', type = '', unit = '', labels = ''] = cells;
    return { prometheus, openTelemetry, type, unit, labels: labels.split(', ').filter((label) => label !== '') };
  });
const labelsOf = (name: string): string[] =>
  Array.from(new Set(scrape.samples.filter((each) => each.name === name).flatMap(({ labels }) => Object.keys(labels))));

describe('the recipe for Prometheus', () => {
  test('has the metrics of the table, with their types and labels', () => {
    const seen = Array.from(scrape.types, ([name, type]) => {
      const series = type === 'histogram' ? `${name}_sum` : name;
      return { name, type, labels: labelsOf(series).sort() };
    });
    expect(seen).toEqual(
      rows.map(({ prometheus, type, labels }) => ({ name: prometheus, type, labels: [...labels].sort() })),
    );
  });

  test.each([
    ['managed_sessions_requests_total', { outcome: 'live', source: 'store' }, 20],
    ['managed_sessions_requests_total', { outcome: 'live', source: 'ledger' }, 20],
    ['managed_sessions_requests_total', { outcome: 'no_token', source: 'none' }, 1],
    ['managed_sessions_requests_total', { outcome: 'keys_unavailable', source: 'none' }, 1],
    ['managed_sessions_token_refusals_total', { code: 'signature_invalid' }, 1],
    ['managed_sessions_session_starts_total', { known_client: 'false' }, 20],
    ['managed_sessions_session_ends_total', { cause: 'revoked' }, 1],
    ['managed_sessions_session_ends_total', { cause: 'idle' }, 0],
    ['managed_sessions_warnings_total', { kind: 'eviction' }, 0],
    ['managed_sessions_up', { part: 'store' }, 0],
    ['managed_sessions_session_live', {}, 19],
  ])('%s %j is %d', (name, labels, value) => {
    expect(valueOf(name, labels)).toBe(value);
  });

  test('counts durations in seconds, and failed calls', () => {
    const sum = valueOf('managed_sessions_store_call_duration_seconds_sum', { operation: 'sight', ok: 'true' });
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThan(20 * elapsed);
    expect(
      valueOf('managed_sessions_store_call_duration_seconds_count', { operation: 'sight', ok: 'false' }),
    ).toBeGreaterThan(0);
    expect(valueOf('managed_sessions_age_seconds', { part: 'feed' })).toBeLessThan(600);
    expect(valueOf('managed_sessions_age_seconds', { part: 'keys' })).toBeUndefined();
  });

  test('names no user and no session', () => {
    for (const secret of [...handles.values(), ...tokens, 'sid-of', 'u1"', ISSUER, AWAY])
      expect(exposed).not.toContain(secret);
  });
});

/** As Prometheus and the collector translate: https://github.com/prometheus/otlptranslator. */
function translated({ descriptor: { name, unit }, isMonotonic }: Measured['metrics'][number]): string {
  const suffix = (unit === 's' ? '_seconds' : '') + (isMonotonic === true ? '_total' : '');
  return name.replaceAll('.', '_') + suffix;
}
const TYPES: Readonly<Record<string, string>> = {
  COUNTER: 'counter',
  HISTOGRAM: 'histogram',
  GAUGE: 'gauge',
  OBSERVABLE_GAUGE: 'gauge',
  OBSERVABLE_UP_DOWN_COUNTER: 'gauge',
};

describe('the recipe for OpenTelemetry', () => {
  const observed = (): readonly Measured['metrics'][number][] =>
    measured.metrics.filter(({ dataPoints }) => dataPoints.length > 0);

  test('has metrics of the table only, with their names, units and types', () => {
    for (const metric of observed()) {
      const row = rows.find(({ openTelemetry }) => openTelemetry === metric.descriptor.name);
      expect([
        translated(metric),
        metric.descriptor.unit,
        TYPES[metric.descriptor.type] ?? metric.descriptor.type,
      ]).toEqual([row?.prometheus, row?.unit, row?.type]);
      const names = new Set(metric.dataPoints.flatMap(({ attributes }) => Object.keys(attributes)));
      expect([...names].sort()).toEqual(row?.labels.map((label) => `managed_sessions.${label}`).sort());
    }
    expect(observed().length).toBeGreaterThanOrEqual(7);
  });

  test('has what has not occurred so far in its code, by the names of the table', () => {
    const code = blockWith('export function measure');
    const names = rows.map(({ openTelemetry }) => openTelemetry.replace('managed_sessions.', ''));
    expect(names.filter((name) => !code.includes(`'${name}'`) && !code.includes(`'managed_sessions.${name}'`))).toEqual(
      [],
    );
  });

  test('counts what the one for Prometheus counts', () => {
    for (const { descriptor, isMonotonic, dataPoints } of observed().filter((metric) => metric.isMonotonic === true)) {
      const row = rows.find(({ openTelemetry }) => openTelemetry === descriptor.name);
      for (const { attributes, value } of dataPoints) {
        const short = Object.entries(attributes).map(([key, each]) => [
          key.replace('managed_sessions.', ''),
          String(each),
        ]);
        expect([descriptor.name, isMonotonic, value]).toEqual([
          descriptor.name,
          true,
          valueOf(row?.prometheus ?? '', Object.fromEntries(short)),
        ]);
      }
    }
  });

  test('gives each span its own user and handle, also while many requests are judged at once', () => {
    const named = measured.spans.filter((span) => span['enduser.id'] !== undefined);
    expect(named).toHaveLength(40);
    for (const span of named) {
      const user = String(span['test.expected']);
      expect(span).toEqual({ 'test.expected': user, 'enduser.id': user, 'session.id': handles.get(user) });
    }
    expect(measured.spans.length).toBeGreaterThan(named.length);
    const told = JSON.stringify(measured);
    for (const secret of [...tokens, 'sid-of']) expect(told).not.toContain(secret);
  });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly datasource: unknown;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig: { readonly defaults: { readonly unit: string } };
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly datasource: unknown }[];
}
interface Dashboard {
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { name: string; type: string; query: unknown; definition?: string }[];
  };
}

describe('the dashboard', () => {
  const { title, schemaVersion, panels, templating } = JSON.parse(read('grafana-dashboard.json')) as Dashboard;
  /** As Grafana does for all sites. */
  const filledIn = (expr: string): string => expr.replaceAll('$job', '.*').replaceAll('$__rate_interval', '1m');

  test.each(panels)('$title: each expression has what is in the scrape', ({ targets }) => {
    expect(targets.length).toBeGreaterThan(0);
    expect(targets.flatMap(({ expr }) => problemsOf(filledIn(expr), scrape))).toEqual([]);
  });

  test.each(panels)('$title: has a description, a unit and the data source that is chosen', (panel) => {
    const chosen = { type: 'prometheus', uid: '${datasource}' };
    expect(panel.title).not.toBe('');
    expect(panel.description).toMatch(/\.$/);
    expect(panel.fieldConfig.defaults.unit).not.toBe('');
    expect([panel.datasource, ...panel.targets.map(({ datasource }) => datasource)]).toEqual(
      Array(panel.targets.length + 1).fill(chosen),
    );
    for (const { expr } of panel.targets) expect(expr).toContain('job=~"$job"');
  });

  test('has variables for the data source and the site, and a place for each panel', () => {
    expect([title, schemaVersion]).toEqual(['managed-sessions', expect.any(Number)]);
    expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['job', 'query'],
    ]);
    const [, metric = ''] = /^label_values\((\w+), job\)$/.exec(templating.list[1]?.definition ?? '') ?? [];
    expect(problemsOf(metric, scrape)).toEqual([]);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${String(x + (cell % w))},${String(y + Math.floor(cell / w))}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  test('shows every metric of the table', () => {
    const shown = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join('\n');
    expect(rows.map(({ prometheus }) => prometheus).filter((name) => !shown.includes(name))).toEqual([]);
  });
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

describe('the alerts', () => {
  const { groups } = parse(read('prometheus-alerts.yml')) as { groups: { name: string; rules: Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);

  test.each(rules)(
    '$alert has what is in the scrape, and says what it means',
    ({ expr, labels, annotations, ...rule }) => {
      expect(problemsOf(expr, scrape)).toEqual([]);
      expect(['critical', 'warning', 'info']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\.$/);
      expect(rule.for ?? '1m').toMatch(/^\d+m$/);
    },
  );

  test('are those of the page', () => {
    const told = Array.from(read('telemetry.md').matchAll(/^\| `(ManagedSessions\w+)`/gm), ([, name]) => name);
    expect(rules.map(({ alert }) => alert)).toEqual(told);
  });
});

test.each([
  ['managed_sessions_requests', 'no such metric'],
  ['rate(managed_sessions_requests_total[5m]', 'no PromQL'],
  ['sum by (colour) (managed_sessions_requests_total)', 'no such label'],
  ['managed_sessions_requests_total{colour="red"}', 'matches no sample'],
  ['managed_sessions_requests_total{outcome=~"live|never_heard"}', 'matches no sample'],
])('%s is a mistake: %s', (expression, problem) => {
  expect(problemsOf(expression, scrape)).toEqual([expect.stringContaining(problem)]);
});
