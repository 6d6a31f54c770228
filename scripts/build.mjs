/**
 * Builds `lib/` into `dist/esm` and `dist/cjs` with plain `tsc`, both at once. The ESM build checks the types as Node
 * resolves them; the CommonJS build only emits the same sources again. Both are incremental.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';

process.chdir(join(import.meta.dirname, '..'));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** An incremental build leaves the output of a source that is gone, and it would be packed. */
async function removeOrphans(outDir) {
  for (const file of await readdir(outDir, { recursive: true })) {
    const source = file.replace(/(\.d\.ts|\.js)$/, '.ts');
    if (source !== file && !existsSync(join('lib', source))) await rm(join(outDir, file));
  }
}

async function build(format, type) {
  const outDir = join('dist', format);
  await mkdir(outDir, { recursive: true });
  await writeFile(join(outDir, 'package.json'), `${JSON.stringify({ type, sideEffects: false })}\n`);
  await removeOrphans(outDir);
  const [status] = await once(
    spawn(process.execPath, [tsc, '-p', `tsconfig.${format}.json`], { stdio: 'inherit' }),
    'exit',
  );
  return status === 0;
}

const built = await Promise.all([build('esm', 'module'), build('cjs', 'commonjs')]);
if (built.includes(false)) process.exitCode = 1;
