import type { IncomingMessage } from 'node:http';
import connect from 'connect';
import { managedSessions } from 'managed-sessions';

const sessions = managedSessions({ issuer: { issuer: 'a', secret: 's' } });
connect()
  .use(sessions)
  .use('/account/sessions', sessions.router())
  .use((req, res) => {
    const { user, loginSession } = req as IncomingMessage & Express.Request;
    const id: string | undefined = user?.id;
    // @ts-expect-error it is a string
    const handle: number | undefined = loginSession?.handle;
    res.end(JSON.stringify([id, handle]));
  });
