/** What a scrape of Prometheus holds, and whether an expression asks for something that is not in it. */

import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode } from '@lezer/common';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Scrape {
  /** By the name of the metric. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];
}

const TYPE = /^# TYPE (?<name>\S+) (?<type>\w+)$/;
const SAMPLE = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)$/;
const LABEL = /(?<name>[a-zA-Z_]\w*)="(?<value>(?:[^"\\]|\\.)*)"/g;

/** The text format of Prometheus. Throws for a line that is none of it. */
export function readScrape(text: string): Scrape {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('# HELP '))) {
    const type = TYPE.exec(line)?.groups;
    const sample = SAMPLE.exec(line)?.groups;
    if (type !== undefined) types.set(type['name'] ?? '', type['type'] ?? '');
    else if (sample !== undefined) samples.push(sampleOf(sample));
    else throw new Error(`Not the text format of Prometheus: ${line}`);
  }
  return { types, samples };
}

function sampleOf({ name = '', labels = '', value = '' }: Record<string, string>): Sample {
  const pairs = Array.from(labels.matchAll(LABEL), ({ groups }) => [groups?.['name'], groups?.['value']] as const);
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}

/** What Prometheus itself adds to each series of a scrape. */
const ADDED: ReadonlySet<string> = new Set(['job', 'instance']);

/** Where an expression is no PromQL, or asks for a metric, a label or a value that the scrape does not have. */
export function problemsOf(expression: string, scrape: Scrape): string[] {
  const problems: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }): string => expression.slice(from, to);
  const grouped: string[] = [];
  const selected: Sample[] = [];
  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) problems.push(`${expression}: no PromQL at ${String(node.from)}`);
      if (node.name === 'VectorSelector') {
        const { found, wrong } = select(node.node, textOf, scrape);
        selected.push(...found);
        problems.push(...wrong);
      }
      if (node.name === 'LabelName' && node.node.parent?.name === 'GroupingLabels') grouped.push(textOf(node));
    },
  });
  const known = new Set([...ADDED, ...selected.flatMap(({ labels }) => Object.keys(labels))]);
  return [...problems, ...grouped.filter((label) => !known.has(label)).map((label) => `by (${label}): no such label`)];
}

function select(
  selector: SyntaxNode,
  textOf: (node: SyntaxNode) => string,
  { samples }: Scrape,
): { found: Sample[]; wrong: string[] } {
  const metric = selector.getChild('Identifier');
  const name = metric === null ? '' : textOf(metric);
  const found = samples.filter((sample) => sample.name === name);
  if (found.length === 0) return { found, wrong: [`${textOf(selector)}: no such metric`] };
  const matchers = selector.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
  const wrong = matchers.map(textOf).filter((matcher) => !isMet(matcher, found));
  return { found, wrong: wrong.map((matcher) => `${name}{${matcher}}: matches no sample`) };
}

/** Each of the alternatives of a pattern must occur. */
function isMet(matcher: string, samples: readonly Sample[]): boolean {
  const { label = '', value = '' } = /^(?<label>\w+)\s*(?:=~|!~|!=|=)\s*"(?<value>.*)"$/.exec(matcher)?.groups ?? {};
  if (ADDED.has(label)) return true;
  const values = samples.map(({ labels }) => labels[label]);
  return value.split('|').every((each) => values.includes(each));
}
