import { builtinModules } from 'node:module';
import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/**
 * The arrows of ARCHITECTURE.md: what each room of `lib/` may import. Whatever is not named is out of bounds, so a new
 * file beside the rooms has to be given its place here.
 */
const ROOMS = {
  core: ['core'],
  tokens: ['core', 'tokens'],
  stores: ['core', 'stores'],
  ledger: ['core', 'tokens', 'stores', 'ledger'],
  http: ['core', 'tokens', 'stores', 'ledger', 'http'],
  'diagnostics.ts': ['core', 'stores'],
  'options.ts': ['core', 'tokens', 'stores', 'ledger', 'http'],
  'settings.ts': ['core', 'tokens', 'stores', 'ledger', 'http', 'options.ts'],
  'policies.ts': ['core', 'tokens', 'settings.ts'],
  'connect.ts': [
    'core',
    'tokens',
    'stores',
    'ledger',
    'http',
    'diagnostics.ts',
    'options.ts',
    'settings.ts',
    'policies.ts',
  ],
  'managed-sessions.ts': ['core', 'http', 'diagnostics.ts', 'options.ts', 'settings.ts', 'connect.ts'],
  'index.ts': [
    'core',
    'tokens',
    'stores',
    'ledger',
    'http',
    'diagnostics.ts',
    'options.ts',
    'managed-sessions.ts',
    'node-version.ts',
  ],
  'node-version.ts': [],
  // Nothing imports it.
  cli: [
    'core',
    'tokens',
    'stores',
    'ledger',
    'http',
    'options.ts',
    'settings.ts',
    'managed-sessions.ts',
    'node-version.ts',
    'cli',
  ],
  client: ['client'],
};

const arrows = Object.entries(ROOMS).map(([room, mayImport]) => ({
  target: `./lib/${room}`,
  from: './lib',
  except: mayImport.map((name) => `./${name}`),
  message: `lib/${room} may import only: ${mayImport.join(', ')}.`,
}));

/** Packages that only one place may know. */
const OWNED = {
  jsonwebtoken: 'lib/tokens/signature.ts',
  'jwks-rsa': 'lib/tokens/keys.ts',
  ioredis: 'lib/stores/redis/target.ts',
};

function ownedBut(...allowed) {
  return Object.entries(OWNED)
    .filter(([name]) => !allowed.includes(name))
    .map(([name, owner]) => ({ name, message: `Only ${owner} imports ${name}.` }));
}

/** What the oldest Node that can load ES modules does not export: nothing could say then that it is too old. */
const TOO_NEW = { name: 'node:crypto', importNames: ['hash'], message: 'Use sha256 of lib/core/digest.ts.' };

const imports = (paths, patterns = []) => ({
  'no-restricted-imports': ['error', { paths: [...paths, TOO_NEW], patterns }],
});

const nodeGlobals = Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']));
const browserGlobals = Object.fromEntries(
  ['window', 'document', 'location', 'navigator', 'history', 'localStorage'].map((name) => [name, 'readonly']),
);

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', 'docs/api/', 'test/consumers/**/*.{ts,mts}', 'test/consumers/program/']),
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },

  {
    files: ['lib/**/*.ts', 'test/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      // By code points is how labels are counted.
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      // `async` without `await` is how a method that must reject does not throw instead.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },

  {
    files: ['lib/**/*.ts'],
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [createNodeResolver({ extensionAlias: { '.js': ['.ts'] } })],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/extensions': ['.ts'],
    },
    rules: {
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones: arrows }],
      'import-x/no-cycle': 'error',
      'import-x/no-default-export': 'error',
      'import-x/no-extraneous-dependencies': ['error', { devDependencies: false, includeTypes: false }],
      ...imports(ownedBut()),
    },
  },
  {
    files: ['lib/core/**/*.ts', 'lib/ledger/{knowledge,verdict,learn,refusals}.ts'],
    rules: {
      ...imports(ownedBut(), [
        {
          group: [...builtinModules, 'node:*', '!node:crypto', '!crypto'],
          message: 'This is pure: no I/O. Of Node it knows node:crypto alone.',
        },
      ]),
      'no-restricted-globals': [
        'error',
        'fetch',
        'process',
        'performance',
        'setTimeout',
        'setInterval',
        'setImmediate',
      ],
      'no-restricted-properties': ['error', { object: 'Date', property: 'now', message: 'Time comes in as `now`.' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: 'Time comes in as `now`.' },
      ],
    },
  },
  { files: ['lib/tokens/signature.ts'], rules: imports(ownedBut('jsonwebtoken')) },
  { files: ['lib/tokens/keys.ts'], rules: imports(ownedBut('jwks-rsa')) },
  { files: ['lib/stores/redis/target.ts'], rules: imports(ownedBut('ioredis')) },
  { files: ['lib/cli/redis-place.ts'], rules: imports(ownedBut('ioredis')) },
  { files: ['lib/testing/**/*.ts'], rules: imports([]) },
  {
    files: ['lib/client/**/*.ts'],
    rules: imports([], [{ regex: '^[^.]', message: 'lib/client has no dependencies.' }]),
  },

  {
    // The bodies of answers are `any` there, and a table's row or a reply's field is known to be there.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },

  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: { globals: { ...nodeGlobals, require: 'readonly', module: 'writable', __dirname: 'readonly' } },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  { files: ['example-app/**/*.js'], languageOptions: { globals: browserGlobals } },
);
