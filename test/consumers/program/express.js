import express from 'express';

const sessions = managedSessions({ issuer: { issuer, secret }, store });
const app = express();
app.use('/account/sessions', sessions.router());
app.get('/', sessions, (req, res) => void res.json({ id: req.user?.id }));

async function listener() {
  return app;
}
