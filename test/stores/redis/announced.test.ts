/** What is announced again: whatever was acknowledged and lost, and nothing else. */

import fc from 'fast-check';

import { Announced, type Publication } from '../../../lib/stores/redis/announced.js';

const MINUTE = 60_000;

describe('an entry', () => {
  let announced: Announced;
  beforeEach(() => (announced = new Announced()));

  function acknowledged(entry: string, at: number): void {
    announced.acknowledge(announced.send([entry]), at);
  }

  test('is lost if a round that was sent after its acknowledgement did not read it', () => {
    acknowledged('a', 10);
    expect(announced.takeLost(10)).toEqual([]);
    expect(announced.takeLost(11)).toEqual(['a']);
    // Whoever took it announces it again.
    expect(announced.takeLost(12)).toEqual([]);
  });

  test('is not lost before it is acknowledged, nor once it was read', () => {
    const publication = announced.send(['a', 'b']);
    expect(announced.takeLost(10)).toEqual([]);
    announced.read('a');
    announced.acknowledge(publication, 11);
    expect(announced.takeLost(12)).toEqual(['b']);
  });

  test('is not expected of a feed that took its first position meanwhile', () => {
    acknowledged('a', 10);
    const publication = announced.send(['b']);
    announced.expectNone();
    announced.acknowledge(publication, 11);
    expect(announced.takeLost(12)).toEqual([]);
    expect(announced.takeAll()).toEqual(['a', 'b']);
  });

  test('that was read before a gap, and acknowledged after it, must be read again', () => {
    const publication = announced.send(['a', 'b']);
    announced.read('a');
    announced.read('b');
    expect(announced.takeAll()).toEqual([]);
    announced.acknowledge(publication, 10);
    announced.read('b');
    expect(announced.takeLost(11)).toEqual(['a']);
  });

  test('that could not be written is not announced again: nobody was promised it', () => {
    announced.fail(announced.send(['a']));
    expect(announced.takeLost(10)).toEqual([]);
    expect(announced.takeAll()).toEqual([]);
  });

  test('that was read stays read if writing it once more fails', () => {
    acknowledged('a', 10);
    announced.read('a');
    announced.fail(announced.send(['a']));
    expect(announced.takeLost(20)).toEqual([]);
  });

  test('that could not be announced again is still lost', () => {
    acknowledged('a', 10);
    announced.read('a');
    announced.fail(announced.send(announced.takeAll(), true));
    expect(announced.takeLost(20)).toEqual(['a']);
  });

  test('is announced again at most three times', () => {
    acknowledged('a', 0);
    for (const at of [10, 20, 30]) {
      expect(announced.takeLost(at)).toEqual(['a']);
      announced.acknowledge(announced.send(['a'], true), at);
    }
    expect(announced.takeLost(40)).toEqual([]);
    expect(announced.takeAll()).toEqual([]);
  });

  test('is forgotten a minute after its acknowledgement, once a round has counted', () => {
    acknowledged('old', 0);
    acknowledged('young', 1);
    for (const entry of ['old', 'young']) announced.read(entry);
    announced.takeLost(MINUTE + 1);
    expect(announced.takeAll()).toEqual(['young']);
  });

  test('is one of the last 2,000', () => {
    for (let i = 0; i < 2001; i++) acknowledged(String(i), i);
    const all = announced.takeAll();
    expect(all).toHaveLength(2000);
    expect(all[0]).toBe('1');
  });
});

describe('two store objects', () => {
  interface Entry {
    readonly id: number;
    readonly text: string;
  }

  /** A server of the feed, and the time of everybody. */
  class World {
    log: Entry[] = [];
    published = 0;
    #time = 0;
    #ids = 0;

    now(): number {
      return (this.#time += 1);
    }

    write(texts: readonly string[]): void {
      this.published += texts.length;
      for (const text of texts) this.log.push({ id: (this.#ids += 1), text });
    }

    /** A replica that lacks the last entries becomes the master. */
    failOver(lacking: number): void {
      this.log = this.log.slice(0, Math.max(0, this.log.length - lacking));
    }
  }

  /** What a command does at the server, and what its reply does here. */
  interface Command {
    readonly perform: () => () => void;
  }

  /** A store object with its two connections. On each, commands and replies keep their order. */
  class Peer {
    readonly acknowledged: string[] = [];
    readonly read = new Set<string>();
    gaps = 0;
    readonly #announced = new Announced();
    readonly #sent: Record<'commands' | 'feed', Command[]> = { commands: [], feed: [] };
    readonly #replies: Record<'commands' | 'feed', (() => void)[]> = { commands: [], feed: [] };
    #position: number | undefined;

    constructor(
      readonly world: World,
      readonly name: string,
    ) {}

    /** One step of one kind, if there is one to take. */
    step(kind: Step): void {
      if (kind === 'announce') this.#publish(this.#announced.send([`${this.name} ${String(this.world.now())}`]));
      else if (kind === 'ask') this.#ask();
      else if (kind.startsWith('perform')) this.#perform(kind === 'perform command' ? 'commands' : 'feed');
      else this.#replies[kind === 'reply to command' ? 'commands' : 'feed'].shift()?.();
    }

    #perform(connection: 'commands' | 'feed'): void {
      const command = this.#sent[connection].shift();
      if (command !== undefined) this.#replies[connection].push(command.perform());
    }

    #publish(publication: Publication): void {
      this.#sent.commands.push({
        perform: () => {
          this.world.write(publication.entries);
          return () => {
            this.#announced.acknowledge(publication, this.world.now());
            this.acknowledged.push(...publication.entries);
          };
        },
      });
    }

    #repeat(entries: readonly string[]): void {
      if (entries.length > 0) this.#publish(this.#announced.send(entries, true));
    }

    #ask(): void {
      if (this.#sent.feed.length + this.#replies.feed.length > 0) return;
      const sentAt = this.world.now();
      this.#sent.feed.push({
        perform: () => {
          const log = [...this.world.log];
          return () => {
            this.#take(log, sentAt);
          };
        },
      });
    }

    #take(log: readonly Entry[], sentAt: number): void {
      const from = this.#position;
      this.#position = log.at(-1)?.id ?? 0;
      if (from === undefined) {
        this.#announced.expectNone();
        return;
      }
      if (from > 0 && !log.some(({ id }) => id === from)) {
        this.gaps += 1;
        this.#repeat(this.#announced.takeAll());
        return;
      }
      for (const { id, text } of log) {
        if (id <= from) continue;
        this.#announced.read(text);
        this.read.add(text);
      }
      this.#repeat(this.#announced.takeLost(sentAt));
    }
  }

  const STEPS = ['announce', 'ask', 'perform command', 'perform feed', 'reply to command', 'reply to feed'] as const;
  type Step = (typeof STEPS)[number];
  const action = fc.record({ peer: fc.nat(1), step: fc.constantFrom(...STEPS) });

  function settle(peers: readonly Peer[]): void {
    for (let i = 0; i < 100; i++) {
      for (const peer of peers) for (const step of STEPS) if (step !== 'announce') peer.step(step);
    }
  }

  test('write nothing twice while nothing is lost, in whatever order things happen', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200, size: 'max' }), (actions) => {
        const world = new World();
        const peers = [new Peer(world, 'a'), new Peer(world, 'b')];
        for (const { peer, step } of actions) peers[peer]!.step(step);
        settle(peers);
        expect(new Set(world.log.map(({ text }) => text)).size).toBe(world.published);
      }),
      { numRuns: 500 },
    );
  });

  test('announce again what is lost with a master: each reads it, or sees a gap', () => {
    const actions = fc.array(action, { maxLength: 100, size: 'max' });
    fc.assert(
      fc.property(actions, fc.integer({ min: 1, max: 10 }), actions, (before, lacking, after) => {
        const world = new World();
        const peers = [new Peer(world, 'a'), new Peer(world, 'b')];
        settle(peers);
        for (const { peer, step } of before) peers[peer]!.step(step);
        world.failOver(lacking);
        for (const { peer, step } of after) peers[peer]!.step(step);
        settle(peers);
        const there = world.log.map(({ text }) => text);
        for (const entry of peers.flatMap(({ acknowledged }) => acknowledged)) {
          expect(there).toContain(entry);
          for (const { read, gaps } of peers) expect(read.has(entry) || gaps > 0).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
