/** What a request accepts, and what kind of body it has. */

import type { IncomingMessage } from 'node:http';

export const FORM_TYPE = 'application/x-www-form-urlencoded';

/** Whether `Accept` names `text/html` and prefers it to JSON. A wildcard does not name it. */
export function prefersHtml(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const ranges = accept.toLowerCase().split(',').map(mediaRange);
  const html = ranges.find(({ type }) => type === 'text/html');
  if (html === undefined || html.quality === 0) return false;
  const json = ranges.find(({ type }) => type === 'application/json' || type === 'application/problem+json');
  if (json !== undefined) {
    return (
      html.quality > json.quality || (html.quality === json.quality && ranges.indexOf(html) < ranges.indexOf(json))
    );
  }
  const wildcard = ranges.find(({ type }) => type === 'application/*') ?? ranges.find(({ type }) => type === '*/*');
  return html.quality >= (wildcard?.quality ?? 0);
}

function mediaRange(range: string): { readonly type: string; readonly quality: number } {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = weight === undefined ? 1 : Number(weight.slice(2));
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}

/** Whether a browser navigates with this request, so that it can show a page. */
export function isNavigation(req: IncomingMessage): boolean {
  return (req.method === 'GET' || req.method === 'HEAD') && prefersHtml(req.headers.accept);
}

/** Whether an HTML form sent this, or a browser that wants to show a page. */
export function isFormPost(req: IncomingMessage): boolean {
  const type = mediaType(req);
  return type === FORM_TYPE || type === 'multipart/form-data' || prefersHtml(req.headers.accept);
}

/** The body's media type in lower case, without parameters; empty if there is none. */
export function mediaType(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
