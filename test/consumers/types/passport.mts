import express from 'express';
import passport from 'passport';
import { managedSessions } from 'managed-sessions';

declare global {
  namespace Express {
    interface User {
      id: number;
      isAdmin: boolean;
    }
  }
}
declare module 'managed-sessions' {
  interface Register {
    user: object;
  }
}

const sessions = managedSessions({ issuer: { issuer: 'a', secret: 's' }, user: () => ({ id: 7, isAdmin: true }) });
express()
  .use(passport.initialize())
  .use(sessions)
  .get('/', (req, res) => {
    const id: number | undefined = req.user?.id;
    // @ts-expect-error it is a number
    const name: string | undefined = req.user?.id;
    res.json([id, name]);
  });
