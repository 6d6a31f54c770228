/** The routes of the router: `openapi.json` describes them, and the router has an answer for each of them. */

export type Method = 'get' | 'post' | 'patch' | 'delete';

export const ROUTES = {
  '/': ['get', 'delete'],
  '/events': ['get'],
  '/end': ['post'],
  '/others': ['delete'],
  '/others/end': ['post'],
  '/selected/end': ['post'],
  '/:handle': ['get', 'patch', 'delete'],
  '/:handle/end': ['post'],
  '/:handle/label': ['post'],
} as const satisfies Readonly<Record<string, readonly Method[]>>;

/** Something for each method of each route, and for nothing else. */
export type ForEachRoute<Value> = {
  readonly [Path in keyof typeof ROUTES]: Readonly<Record<(typeof ROUTES)[Path][number], Value>>;
};
