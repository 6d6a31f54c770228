/** The code blocks of a Markdown file, and what hidden comments right before a block say about it. */

export type Run =
  { readonly kind: 'ends' } | { readonly kind: 'answers'; readonly path: string; readonly status: number };

/**
 * - `<!-- prelude: declare const app: Express -->`: statements that stand before the block when it is checked or run;
 * - `<!-- run -->`: the block is run, and must end by itself with status 0;
 * - `<!-- run: GET /account/sessions 401 -->`: the block starts a server on `PORT`, which must answer so;
 * - `<!-- test: test/guides/frameworks.test.ts -->`: this test runs the block;
 * - `<!-- file: sessions.mts -->`: the block is this file, which the others of its page import.
 */
export interface CodeBlock {
  readonly file: string;
  /** Of the block's first line of code, counted from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  readonly prelude: string;
  readonly run: Run | null;
  readonly test: string | null;
  readonly name: string | null;
}

const FENCE = /^(?<indent> *)(?<fence>`{3,}|~{3,}) *(?<language>\S*)[^\n]*\n(?<code>.*?)^\k<indent>\k<fence>[ \t]*$/gms;
const NOTES_AT_END = /(?:<!--(?:(?!-->).)*-->\s*)+$/s;
const NOTE = /<!--\s*(?<name>prelude|run|test|file)\b:?(?<text>.*?)-->/gs;
const ANSWERS = /^GET (?<path>\/\S*) (?<status>\d{3})$/;

export function codeBlocks(file: string, markdown: string): CodeBlock[] {
  return Array.from(markdown.matchAll(FENCE), (match) => {
    const { indent = '', language = '', code = '' } = match.groups ?? {};
    const before = markdown.slice(0, match.index);
    const notes = notesIn(NOTES_AT_END.exec(before)?.[0] ?? '');
    return {
      file,
      line: before.split('\n').length + 1,
      language,
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      prelude: notes.get('prelude') ?? '',
      run: runOf(notes.get('run'), file),
      test: notes.get('test') ?? null,
      name: notes.get('file') ?? null,
    };
  });
}

function notesIn(text: string): Map<string, string> {
  return new Map(
    Array.from(text.matchAll(NOTE), ({ groups }) => [groups?.['name'] ?? '', (groups?.['text'] ?? '').trim()]),
  );
}

function runOf(note: string | undefined, file: string): Run | null {
  if (note === undefined) return null;
  if (note === '') return { kind: 'ends' };
  const { path, status } = ANSWERS.exec(note)?.groups ?? {};
  if (path === undefined) throw new Error(`${file}: a block is run, or run: GET /path 200; not run: ${note}`);
  return { kind: 'answers', path, status: Number(status) };
}

/** The block as a module of its own, its lines numbered as in the Markdown file. */
export function moduleOf(block: CodeBlock): string {
  const prelude = block.prelude.replaceAll('\n', ' ');
  return '\n'.repeat(block.line - 2) + `${prelude}\n${block.code}`;
}

/** What is wrong with a line of a shell block: it may only do what this repository can answer for. */
export function commandProblem(line: string, scripts: ReadonlySet<string>): string | null {
  const command = line
    .replace(/\s+#.*$/, '')
    .replace(/^(?:[A-Z_]+=\S+ )*/, '')
    .trim();
  if (command === '' || command.startsWith('#')) return null;
  const [program, verb = '', name = ''] = command.split(/\s+/);
  if (program !== 'npm') return `${command}: no npm command`;
  if (verb === 'install' || verb === 'ci') return null;
  const script = verb === 'run' ? name : verb;
  return scripts.has(script) ? null : `${command}: no script ${script} in package.json`;
}
