/** The contract that every session store keeps, as tests: for `describe` and `it` of Jest, Vitest or Mocha. */

import { aFunction, aString, checkKind, required } from '../core/check.js';
import { cap } from './store-contract/cap.js';
import { clients, newClients } from './store-contract/clients.js';
import { cutoffs } from './store-contract/cutoffs.js';
import { erasing } from './store-contract/erasing.js';
import { feed } from './store-contract/feed.js';
import { openFixture, type DeclareTest, type Fixture, type StoreUnderTest } from './store-contract/fixture.js';
import { globalCutoff } from './store-contract/global-cutoff.js';
import { indexing } from './store-contract/indexing.js';
import { input } from './store-contract/input.js';
import { labels } from './store-contract/labels.js';
import { lifetimes } from './store-contract/lifetimes.js';
import { lists } from './store-contract/lists.js';
import { messages } from './store-contract/messages.js';
import { origins } from './store-contract/origins.js';
import { parties } from './store-contract/parties.js';
import { polls } from './store-contract/polls.js';
import { programs } from './store-contract/programs.js';
import { restoring } from './store-contract/restoring.js';
import { revocation } from './store-contract/revocation.js';
import { sightings } from './store-contract/sightings.js';
import { stale } from './store-contract/stale.js';
import { untracked } from './store-contract/untracked.js';

export type { StoreUnderTest } from './store-contract/fixture.js';

declare const describe: (name: string, body: () => void) => void;
declare const it: (name: string, body: () => Promise<void>) => void;
declare const beforeEach: (body: () => Promise<void>) => void;
declare const afterEach: (body: () => Promise<void>) => void;

const GROUPS: readonly (readonly [subject: string, declareTests: (test: DeclareTest) => void])[] = [
  ['a sighting', sightings],
  ['a sighting of a program', programs],
  ['the app and the actor of a sighting', parties],
  ['a request that does not count as use', polls],
  ['an untracked sighting', untracked],
  ['the time of a session', lifetimes],
  ['a client', clients],
  ['a new client', newClients],
  ['the cap', cap],
  ['list', lists],
  ['label', labels],
  ['revoke', revocation],
  ['revokeAll', cutoffs],
  ['erase', erasing],
  ['expireTokens', stale],
  ['the index by session id', indexing],
  ['restore', restoring],
  ['the origin of an ending', origins],
  ['the feed', feed],
  ['a message of a provider', messages],
  ['what comes from outside', input],
  // Last: a global cutoff stays behind in whatever the stores share.
  ['endEverywhere', globalCutoff],
];

/**
 * Declares the contract's tests for one store. `make` is called before each test. Every test has its own user, so the
 * stores may share a database. Only the last group leaves something behind there: a global cutoff. Throws if the functions of
 * the test runner are not global, and a `TypeError` if an argument is invalid.
 */
export function describeSessionStore(name: string, make: () => Promise<StoreUnderTest>): void {
  checkKind(name, 'describeSessionStore(): name', required(aString));
  checkKind(make, 'describeSessionStore(): make', required(aFunction('that promises { store }')));
  requireRunner();
  describe(`${name} keeps the contract of a session store`, () => {
    let fixture: Fixture | undefined;

    beforeEach(async () => {
      fixture = undefined;
      fixture = await openFixture(make);
    });

    afterEach(async () => {
      await fixture?.close();
    });

    function test(title: string, body: (fixture: Fixture) => Promise<void>): void {
      it(title, async () => {
        if (fixture === undefined) throw new Error('The store could not be made');
        await body(fixture);
      });
    }

    for (const [subject, declareTests] of GROUPS) {
      describe(subject, () => {
        declareTests(test);
      });
    }
  });
}

function requireRunner(): void {
  const names = ['describe', 'it', 'beforeEach', 'afterEach'];
  if (names.every((name) => typeof Reflect.get(globalThis, name) === 'function')) return;
  throw new Error(
    `describeSessionStore() needs a test runner in which ${names.join(', ')} are global: Jest, Mocha, or Vitest with globals`,
  );
}
