/** The workflows and issue forms: what can be checked of them where they cannot be run. */

import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';

import { unsupportedNode } from '../../lib/node-version.js';

const root = join(__dirname, '../..');
const WORKFLOWS = '.github/workflows';
const FORMS = '.github/ISSUE_TEMPLATE';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly 'timeout-minutes'?: number;
  readonly permissions?: unknown;
  readonly strategy?: {
    readonly matrix: { readonly node?: number[]; readonly include?: { node: number; image: string }[] };
  };
  readonly steps: Step[];
}

interface Workflow {
  readonly on: unknown;
  readonly permissions: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

interface FormPart {
  readonly type: string;
  readonly id?: string;
  readonly attributes: { readonly label?: string; readonly value?: string };
}

const text = (path: string): string => readFileSync(join(root, path), 'utf8');

function parsed(path: string): unknown {
  const document = parseDocument(text(path), { strict: true, uniqueKeys: true });
  expect([...document.errors, ...document.warnings]).toEqual([]);
  return document.toJS();
}

const workflow = (name: string): Workflow => parsed(join(WORKFLOWS, name)) as Workflow;
const files = readdirSync(join(root, WORKFLOWS));
const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };

/** The lines of all `run` steps. */
function commands({ jobs }: Workflow): string[] {
  const steps = Object.values(jobs).flatMap((job) => job.steps);
  return steps.flatMap(({ run = '' }) => run.split('\n')).filter((line) => line !== '');
}

function nodesOf({ jobs }: Workflow): number[] {
  const matrices = Object.values(jobs).map((job) => job.strategy?.matrix);
  return matrices.flatMap((matrix) => [...(matrix?.node ?? []), ...(matrix?.include ?? []).map(({ node }) => node)]);
}

it('the suite, the projects and the release have one each', () => {
  expect(files.sort()).toEqual(['ci.yml', 'consumers.yml', 'release.yml']);
});

describe.each(files)('%s', (name) => {
  const { permissions, jobs } = workflow(name);
  const steps = Object.values(jobs).flatMap((job) => job.steps);

  it('may only read, except that a release proves where it comes from', () => {
    expect(permissions).toEqual({ contents: 'read' });
    for (const [job, { permissions: own }] of Object.entries(jobs)) {
      expect(own).toEqual(job === 'publish' ? { contents: 'read', 'id-token': 'write' } : undefined);
    }
  });

  it('pins each action to a commit, and says of which version', () => {
    const lines = text(join(WORKFLOWS, name)).match(/uses: .*/g) ?? [];
    expect(lines).toHaveLength(steps.filter((step) => step.uses !== undefined).length);
    for (const line of lines) expect(line).toMatch(/^uses: actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it('leaves no credentials in the checkout', () => {
    for (const { uses, with: given } of steps) {
      if (uses?.startsWith('actions/checkout@')) expect(given).toMatchObject({ 'persist-credentials': false });
    }
  });

  it('ends a job that hangs', () => {
    for (const job of Object.values(jobs)) expect(job['timeout-minutes']).toBeLessThanOrEqual(60);
  });

  it('runs only what exists, and nothing that an outsider can write', () => {
    const lines = commands(workflow(name));
    const ours = lines.flatMap((line) => /^npm run ([\w:-]+)/.exec(line)?.[1] ?? []);
    for (const script of ours) expect(Object.keys(scripts)).toContain(script);
    for (const line of lines.filter((each) => each.startsWith('.'))) accessSync(join(root, line), constants.X_OK);
    for (const line of lines) expect(line).not.toContain('${{');
  });
});

it('ci.yml runs .ci/run with each supported Node and Redis', () => {
  const ci = workflow('ci.yml');
  const images = Object.values(ci.jobs).flatMap((job) =>
    (job.strategy?.matrix.include ?? []).map(({ image }) => image),
  );

  expect(commands(ci)).toContain('.ci/run');
  expect(new Set(nodesOf(ci))).toEqual(new Set([20, 22, 24]));
  expect(new Set(images)).toEqual(new Set(['redis:6.2', 'redis:7', 'redis:8', 'valkey/valkey:8']));
  for (const node of nodesOf(ci)) expect(unsupportedNode(`${node}.99.0`)).toBeNull();
});

it('consumers.yml runs all projects with each supported Node, and each week', () => {
  const consumers = workflow('consumers.yml');

  expect(commands(consumers)).toEqual(['npm ci', 'npm run test:consumers']);
  expect(nodesOf(consumers)).toEqual([20, 22, 24]);
  expect(consumers.on).toMatchObject({ schedule: [{ cron: expect.any(String) }] });
});

it('release.yml publishes what the release check tried, with provenance', () => {
  const release = workflow('release.yml');

  expect(release.on).toEqual({ push: { tags: ['v*'] } });
  expect(commands(release)).toEqual([
    'npm ci',
    'npm run release:check -- --tarball-to packed',
    'npm publish packed/*.tgz --provenance --access public',
  ]);
});

describe('the issue forms', () => {
  const forms = readdirSync(join(root, FORMS)).filter((name) => name !== 'config.yml');

  it('are the only way to an issue', () => {
    expect(parsed(join(FORMS, 'config.yml'))).toEqual({ blank_issues_enabled: false });
    expect(forms.sort()).toEqual(['bug.yml', 'feature.yml']);
  });

  it.each(forms)('%s has what a form must have', (name) => {
    const form = parsed(join(FORMS, name)) as { name: string; description: string; body: FormPart[] };
    const questions = form.body.filter(({ type }) => type !== 'markdown');
    const ids = questions.map(({ id }) => id);

    expect(form.name && form.description).toBeTruthy();
    for (const { type, attributes } of form.body) {
      expect(['markdown', 'textarea', 'input', 'dropdown', 'checkboxes']).toContain(type);
      expect(type === 'markdown' ? attributes.value : attributes.label).toBeTruthy();
    }
    expect(questions.length).toBeGreaterThan(0);
    for (const id of ids) expect(id).toMatch(/^[a-z][a-z-]*$/);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('a fault form turns security faults and real tokens away', () => {
    expect(text(join(FORMS, 'bug.yml'))).toMatch(/Not for security faults[^]*SECURITY\.md[^]*Never paste a real token/);
  });
});
