/** Checked by the compiler alone: how our members of a request merge with those of Express and passport. */

import connect from 'connect';
import express from 'express';
import passport from 'passport';
import type { Organization } from '../../lib/core/claims.js';
import type { LoginError } from '../../lib/core/errors.js';
import type { LoginSession } from '../../lib/http/app-request.js';
import type { LoginUser } from '../../lib/http/register.js';
import type { Handler, OnRefused } from '../../lib/http/respond.js';
import type { RouterOptions } from '../../lib/http/router.js';
import type { TokenSourceOption } from '../../lib/http/token-source-option.js';
import { managedSessions, type ManagedSessions } from '../../lib/managed-sessions.js';

declare const login: ManagedSessions;
declare const router: Handler;

const app = express();
app.use(passport.initialize());
app.use(login.required());
app.use('/api', login.required({ scope: ['a', 'b'], fresh: true }));
app.use('/account', router);
app.post('/logout', login.logout());

app.get('/', login.optional(), (req, res) => {
  const id: string | undefined = req.user?.id;
  const claims: Readonly<Record<string, unknown>> | undefined = req.user?.claims;
  const organizations: readonly Organization[] | undefined = req.user?.orgs;
  const session: LoginSession | undefined = req.loginSession;
  const error: LoginError | undefined = req.loginError;
  // @ts-expect-error -- there may be no user
  const name = req.user.name;
  // passport's own members are still there
  req.logout(() => undefined);
  const isAuthenticated: boolean = req.isAuthenticated();
  res.json([
    id,
    claims,
    session?.startedAt.getTime(),
    error?.code,
    name,
    isAuthenticated,
    organizations?.[0]?.permissions,
  ]);
});

connect().use(login.required()).use('/account', router);

// Hooks may ask for their framework's own request.
export const from: TokenSourceOption = (req: express.Request) => req.header('x-token');
export const onRefused: OnRefused = (error: LoginError, _req: express.Request, res: express.Response) => {
  res.status(error.status).json({ code: error.code });
};

export const options: RouterOptions = { layout: async (html: string, req: express.Request) => `${req.path}${html}` };

// @ts-expect-error -- a misspelt option
login.required({ scopes: 'a' });
// @ts-expect-error -- a token is a string
export const wrong: TokenSourceOption = () => 7;

/** `User` is what the option `user` returns in the end, without what stands for "no such user". */
type UserOf<Sessions> = Sessions extends ManagedSessions<infer User> ? User : never;

interface Account {
  readonly plan: string;
}
declare const account: Account;
const issuer = { issuer: 'https://id.example.com/', secret: 'a secret' };

export const bySync = managedSessions({ issuer, user: () => account });
export const byAsync = managedSessions({ issuer, user: async () => account });
export const orNull = managedSessions({ issuer, user: async (): Promise<Account | null> => account });
export const orNothing = managedSessions({ issuer, user: (): Account | undefined => account });
export const orFalse = managedSessions({ issuer, user: () => Math.random() > 0.5 && account });
const byDefault = managedSessions({ issuer });

type Same<One, Other> = [One, Other] extends [Other, One] ? true : never;
export const users: readonly true[] = [
  true satisfies Same<UserOf<typeof bySync>, Account>,
  true satisfies Same<UserOf<typeof byAsync>, Account>,
  true satisfies Same<UserOf<typeof orNull>, Account>,
  true satisfies Same<UserOf<typeof orNothing>, Account>,
  true satisfies Same<UserOf<typeof orFalse>, Account>,
  true satisfies Same<UserOf<typeof byDefault>, LoginUser>,
];

const { health } = byDefault;
export const lastError: string | null = health().feed.lastError;
export const age: number | null = health().feed.age;
