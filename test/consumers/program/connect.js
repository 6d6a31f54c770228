import connect from 'connect';

const sessions = managedSessions({ issuer: { issuer, secret }, store });
const app = connect();
app.use('/account/sessions', sessions.router());
app.use('/', sessions);
app.use('/', (req, res) => res.end(JSON.stringify({ id: req.user?.id })));

async function listener() {
  return app;
}
