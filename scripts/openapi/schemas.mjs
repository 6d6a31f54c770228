/** What the router sends and takes, as JSON Schema 2020-12. */

const ref = (name) => ({ $ref: `#/components/schemas/${name}` });
const orNull = (schema) => ({ ...schema, type: [schema.type, 'null'] });
const time = (description) => ({ type: 'string', format: 'date-time', description });

/** All members are always there, unless `optional` names them. */
function object(properties, optional = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', ...(required.length > 0 && { required }), properties };
}

const handle = {
  type: 'string',
  pattern: '^[\\w-]{22}$',
  description: 'The public id of a session. It is not a credential.',
  examples: ['8mB2uUq0cQm1l5cW7rXk3g'],
};

const label = {
  type: ['string', 'null'],
  maxLength: 64,
  description: 'What the person calls the session, on one line. Null: nothing.',
  examples: ["Mum's iPad"],
};

const text = (description) => orNull({ type: 'string', description });

export function schemas({ kinds }) {
  return {
    Handle: handle,
    Session: object({
      handle: ref('Handle'),
      current: { type: 'boolean', description: 'Whether the request was made in this session.' },
      label,
      startedAt: time('When the session began, as far as its tokens say.'),
      lastSeenAt: time('When it was last used. Written once per `activityInterval`.'),
      expiresAt: time('When it ends, unless it is ended before, or a token is refreshed.'),
      ip: text('The address of the last request. Null: not recorded.'),
      location: text('What `locate` said of the address. Null: nothing.'),
      app: text('The app, by its id: `client_id` of the token, or else `azp`.'),
      actor: text('Who acts for the person: `act.sub` of the token.'),
      client: ref('Client'),
    }),
    Client: {
      ...object({
        kind: { type: 'string', enum: kinds },
        name: text('Of the browser, app or program.'),
        version: text('The major version of a browser, the full version of an app.'),
        os: text('The operating system.'),
        device: text('The model.'),
        userAgent: text('As the client sent it, or as it was recorded.'),
      }),
      description: 'What the session runs on. The client itself says so, and it is not verified.',
    },
    SessionList: object({
      sessions: { type: 'array', items: ref('Session'), description: 'Live sessions, most recently seen first.' },
      next: text('The parameter `cursor` of the next page. Null: this is the last one.'),
    }),
    Ended: object({
      ended: { type: 'integer', minimum: 0, description: 'How many live sessions this request ended.' },
    }),
    Label: object({ label }),
    Problem: {
      ...object(
        {
          type: { type: 'string', description: '`urn:managed-sessions:problem:` and the code.' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string', description: 'In words, for a developer.' },
          code: { type: 'string', description: 'What is wrong, for a program.' },
          reason: { type: 'string', description: 'Why the session was ended, with `session_revoked`.' },
        },
        ['reason'],
      ),
      description: 'A refusal (RFC 9457).',
    },
  };
}

/** A problem with one of these codes. */
export function problemWith(codes) {
  return { allOf: [ref('Problem'), { type: 'object', properties: { code: { type: 'string', enum: codes } } }] };
}

/** The fields of the form that ends several sessions. */
export const SELECTION = object({
  handle: { type: 'array', items: ref('Handle'), minItems: 1, maxItems: 200, description: 'The field is repeated.' },
});

export const LABEL_FORM = object({ label: { ...label, type: 'string', description: 'Empty: none.' } });

export { object, ref };
