import express from 'express';
import { managedSessions } from 'managed-sessions';

interface Account {
  readonly plan: 'free' | 'paid';
  readonly seats: number;
}
declare const accounts: { get(id: unknown): Promise<Account | null> };
declare module 'managed-sessions' {
  interface Register {
    user: Account;
  }
}

const sessions = managedSessions({ issuer: { issuer: 'a', secret: 's' }, user: async ({ sub }) => accounts.get(sub) });
express()
  .use(sessions)
  .get('/', (req, res) => {
    const plan: 'free' | 'paid' | undefined = req.user?.plan;
    // @ts-expect-error an Account has no claims
    res.json([plan, req.user?.claims]);
  });

export async function seats(token: string): Promise<number> {
  return (await sessions.verify(token)).user.seats;
}
