/** Heading 2: what ends the process, or hangs. A row is a hook that fails, or a mistake in the set-up, and the answer. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ManagedSessions } from '../../lib/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import { FAILURES, HOOKS, LET_IN, newToken, PROMISES, type Hook } from './hooks.js';

// Jest fails the test during which a promise is rejected and nobody handles it.

beforeAll(() => {
  jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
});

afterAll(() => {
  jest.restoreAllMocks();
});

describeEachFramework((_name, makeApp) => {
  let server: Server;
  let url: string;
  const sites: ManagedSessions<unknown>[] = [];
  /** What each hook does at the moment. */
  let run: () => unknown = () => undefined;

  beforeAll(async () => {
    const app = makeApp();
    HOOKS.forEach(({ mount }, index) => sites.push(mount(app, `/${String(index)}`, () => run())));
    server = createServer(app.listener).listen(0, '127.0.0.1');
    // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
    server.keepAliveTimeout = 0;
    await once(server, 'listening');
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });

  afterAll(async () => {
    server.close();
    server.closeAllConnections();
    for (const site of sites) await site.close();
  });

  async function ask({ request, isAnonymous }: Hook, index: number): Promise<{ status: number; text: string }> {
    const { method = 'GET', path = '/', headers = {} } = request ?? {};
    const authorization = isAnonymous ? {} : { authorization: `Bearer ${newToken()}` };
    const response = await fetch(`${url}/${String(index)}${path}`, {
      method,
      headers: { ...headers, ...authorization },
    });
    return { status: response.status, text: await response.text() };
  }

  describe.each(HOOKS.map((hook, index) => [hook.name, hook, index] as const))('%s', (_hookName, hook, index) => {
    const outcomes = [...FAILURES, ...(hook.isAsync ? [] : PROMISES)];
    test.each(outcomes)('%s', async (_outcome, outcome) => {
      run = outcome;
      const { status, text } = await ask(hook, index);
      expect(hook.answers).toContain(status);
      if (status !== 200) expect(text).not.toContain(LET_IN);
    });
  });
});
