/** Reads the small bodies of the routes, also after another body parser. */

import type { IncomingMessage } from 'node:http';
import { LoginError } from '../core/errors.js';
import { FORM_TYPE, mediaType } from './accept.js';
import type { AppRequest } from './app-request.js';

/** The longest body of the routes, in bytes. */
const BODY_LIMIT = 4096;

/** The JSON body. Rejects with `LoginError` `request_invalid` for another type, invalid JSON and more than 4 KiB. */
export async function jsonOf(req: AppRequest): Promise<unknown> {
  const type = mediaType(req);
  if (type !== 'application/json' && !/^application\/[\w.-]+\+json$/.test(type)) {
    throw new LoginError('request_invalid', 'The body must be application/json');
  }
  if (wasRead(req)) return req.body;
  const text = await textOf(req, BODY_LIMIT);
  try {
    return JSON.parse(text);
  } catch {
    throw new LoginError('request_invalid', 'The body is not valid JSON');
  }
}

/**
 * The fields of a form; none if there is no body. A field that is there more than once is a list. Rejects as {@link jsonOf} does.
 * `limit` is in bytes.
 */
export async function formOf(req: AppRequest, limit = BODY_LIMIT): Promise<unknown> {
  const type = mediaType(req);
  if (type === '') return {};
  if (type !== FORM_TYPE) throw new LoginError('request_invalid', `The body must be ${FORM_TYPE}`);
  if (wasRead(req)) return req.body;
  const fields = new URLSearchParams(await textOf(req, limit));
  return Object.fromEntries(
    Array.from(new Set(fields.keys()), (name) => {
      const values = fields.getAll(name);
      return [name, values.length === 1 ? values[0] : values] as const;
    }),
  );
}

/** A body of this media type as a string, also if `express.text()` or `express.raw()` ran before. Rejects as {@link jsonOf} does. */
export async function stringOf(req: AppRequest, type: string, limit: number): Promise<string> {
  if (mediaType(req) !== type) throw new LoginError('request_invalid', `The body must be ${type}`);
  if (!wasRead(req)) return textOf(req, limit);
  const { body } = req;
  if (typeof body === 'string') return body;
  if (Buffer.isBuffer(body)) return body.toString();
  throw new LoginError('request_invalid', 'Another body parser has read the body');
}

/** Whether another parser has read the stream. Its result is then all there is. */
function wasRead(req: IncomingMessage): boolean {
  return req.readableDidRead || req.readableEnded;
}

async function textOf(req: IncomingMessage, limit: number): Promise<string> {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new LoginError('request_invalid', 'The body must not be compressed');
  }
  const bytes = await bytesOf(req, limit);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new LoginError('request_invalid', 'The body is not valid UTF-8');
  }
}

/** With events: to leave an iteration early would destroy the connection before the response. */
function bytesOf(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;

    function take(chunk: Buffer): void {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
      else settle(new LoginError('request_invalid', `The body is longer than ${limit} bytes`));
    }
    function finish(): void {
      settle(null);
    }
    function abort(): void {
      settle(new LoginError('request_invalid', 'The body is incomplete'));
    }
    function settle(error: LoginError | null): void {
      req.off('data', take).off('end', finish).off('close', abort).off('error', abort);
      // The rest of a long body is read and dropped, so that its sender gets to the response.
      req.resume().on('error', ignore);
      if (error === null) resolve(Buffer.concat(chunks));
      else reject(error);
    }

    if (req.destroyed) abort();
    else req.on('data', take).on('end', finish).on('close', abort).on('error', abort);
  });
}

function ignore(): void {
  // The connection failed after its request was answered.
}
