/** What is asked of an issuer over HTTP: bounded in time and size, with no redirect followed. */

/** Largest answer that is read, in bytes: a key set of a hundred keys is a tenth of it. */
export const ANSWER_LIMIT = 1024 * 1024;

/**
 * The JSON object at a URL. `what` names the endpoint in the message of the error that this rejects with: for an
 * answer other than 2xx (a redirect too), one that is larger than {@link ANSWER_LIMIT} or no JSON object, and when
 * `signal` fires before all of it came.
 */
export async function fetchJson(
  url: URL,
  what: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(url, {
    redirect: 'manual',
    headers: { accept: 'application/json, application/jwk-set+json' },
    signal,
  }).catch((error: unknown) => {
    throw outOfReach(what, signal, error);
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${what} answered with status ${response.status}`);
  }
  const text = await readText(response, what).catch((error: unknown) => {
    throw error instanceof AnswerTooLarge ? error : outOfReach(what, signal, error);
  });
  return parseObject(text, what);
}

/**
 * Where an issuer's keys are, by OpenID Connect Discovery 1.0, section 4. Rejects where the document names another
 * issuer (section 4.3), or no `jwks_uri` that is an https URL; http will do where the issuer's own URL is http.
 */
export async function discoverJwksUri(issuer: string, signal: AbortSignal): Promise<URL> {
  const document = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const metadata = await fetchJson(document, 'The discovery document', signal);
  if (metadata['issuer'] !== issuer) throw new Error('The discovery document names another issuer');
  const uri = httpUrl(metadata['jwks_uri']);
  if (uri === undefined || (uri.protocol === 'http:' && document.protocol === 'https:')) {
    throw new Error('The discovery document has no jwks_uri that may be used');
  }
  return uri;
}

/** The absolute http or https URL that a text spells, without user and password; undefined where it spells none. */
export function httpUrl(value: unknown): URL | undefined {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:';
  return isHttp && url.username === '' && url.password === '' ? url : undefined;
}

class AnswerTooLarge extends Error {}

async function readText(response: Response, what: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  const body: AsyncIterable<Uint8Array> | readonly Uint8Array[] = response.body ?? [];
  for await (const chunk of body) {
    size += chunk.byteLength;
    // Leaving the loop ends the transfer.
    if (size > ANSWER_LIMIT) throw new AnswerTooLarge(`${what} answered with more than ${ANSWER_LIMIT} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would show a part of the answer.
    throw new Error(`${what} answered with something else than JSON`);
  }
  if (!isObject(value)) throw new Error(`${what} answered with JSON that is no object`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function outOfReach(what: string, signal: AbortSignal, cause: unknown): Error {
  return new Error(`${what} ${signal.aborted ? 'took too long to answer' : 'cannot be reached'}`, { cause });
}
