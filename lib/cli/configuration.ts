/** The settings of a command, from its flags and its JSON file, with the checks and the words of the package itself. */

import { dirname, resolve } from 'node:path';
import { TOP_ADVICE, type Advice } from '../core/advice.js';
import { anything, checkOptions, isObject, kindOf, type OptionKinds } from '../core/check.js';
import { handlesFrom } from '../core/handles.js';
import type { ManagedSessionsOptions } from '../options.js';
import { redisStore } from '../stores/redis/store.js';
import type { SessionStore } from '../stores/store.js';
import { authRocket, authRocketV1, oidc } from '../tokens/presets.js';
import type { IssuerOptions } from '../tokens/issuer.js';
import { UsageError } from './exit.js';
import type { Given } from './flags.js';
import { redisPlace, type RedisPlace } from './redis-place.js';
import { resolved, textOfFile, textOfVariable, type Surroundings } from './secrets.js';

/** The members of the JSON file: options of `managedSessions()` and `redisStore()`, presets, and where Redis is. */
interface FileOptions {
  readonly issuer: unknown;
  readonly oidc: unknown;
  readonly authRocket: unknown;
  readonly authRocketV1: unknown;
  readonly redis: unknown;
  readonly prefix: unknown;
  readonly minReplicas: unknown;
  readonly handleSecret: unknown;
  readonly lifetime: unknown;
  readonly idleTimeout: unknown;
  readonly tombstoneFor: unknown;
  readonly storeTimeout: unknown;
  readonly revocationBound: unknown;
  readonly maxTokenLength: unknown;
}

/** `managedSessions()` and `redisStore()` check the values. */
const FILE_OPTIONS: OptionKinds<FileOptions> = {
  issuer: anything,
  oidc: anything,
  authRocket: anything,
  authRocketV1: anything,
  redis: anything,
  prefix: anything,
  minReplicas: anything,
  handleSecret: anything,
  lifetime: anything,
  idleTimeout: anything,
  tombstoneFor: anything,
  storeTimeout: anything,
  revocationBound: anything,
  maxTokenLength: anything,
};

const NOT_NEEDED =
  'from cookie origins user maxSessionsPerUser atSessionLimit track activityInterval whenStoreDown recordIp trustProxy client ' +
  'onRefused loginUrl sessionIndex clientHints clock';

const FILE_ADVICE: Advice = {
  ...TOP_ADVICE,
  ...Object.fromEntries(
    NOT_NEEDED.split(' ').map((name) => [name.toLowerCase(), 'leave it out: this command does not use it']),
  ),
  ...Object.fromEntries(
    ['store', 'redisUrl', 'redisClient', 'url'].map((name) => [
      name.toLowerCase(),
      'here it is called redis: a URL, or an object of the options of ioredis',
    ]),
  ),
};

export interface Configuration {
  /** May be empty. With their secrets, so it throws {@link UsageError} if one cannot be read. */
  issuers(): readonly IssuerOptions[];
  /** What `iss` can be. Without their secrets. */
  readonly issuerNames: readonly string[];
  /** Null if nothing says where it is. */
  readonly redis: RedisPlace | null;
  readonly store: { readonly prefix: string; readonly minReplicas: number };
  /** Those of the file and the flags, as they were given. They are checked when they are used. */
  readonly options: Omit<ManagedSessionsOptions, 'issuer' | 'store'>;
}

/** Throws {@link UsageError}, or the `TypeError` of the package for an option that is invalid. */
export function readConfiguration(given: Given, surroundings: Omit<Surroundings, 'folder'>): Configuration {
  const here = { ...surroundings, folder: '.' };
  const file = given.config === undefined ? {} : readFile(given.config, here);
  const beside = { ...here, folder: given.config === undefined ? '.' : dirname(resolve(given.config)) };
  const redis = redisOf(given, withSecrets(resolved(file.redis, 'redis', beside), 'redis', beside), here);
  const prefix = given.prefix ?? file.prefix ?? 'ms';
  const minReplicas = given['min-replicas'] === undefined ? (file.minReplicas ?? 0) : Number(given['min-replicas']);
  const handleSecret = secretOf(given, 'handle-secret', here) ?? resolved(file.handleSecret, 'handleSecret', beside);
  if (handleSecret !== undefined) handlesFrom(handleSecret);
  const options = {
    lifetime: file.lifetime,
    idleTimeout: file.idleTimeout,
    tombstoneFor: given['tombstone-for'] ?? file.tombstoneFor,
    storeTimeout: given['store-timeout'] ?? file.storeTimeout,
    revocationBound: given['revocation-bound'] ?? file.revocationBound,
    maxTokenLength: file.maxTokenLength,
    handleSecret,
  };
  const known = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return {
    issuers: () =>
      issuersOf(
        given,
        mapped(file, (value, name) => withSecrets(value, name, beside)),
        here,
      ),
    issuerNames: namesOf(given, file),
    redis,
    store: { prefix, minReplicas } as Configuration['store'],
    options: known,
  };
}

/** A store of its own for each call. Throws {@link UsageError} if nothing says where Redis is. */
export function storeOf({ redis, store }: Configuration): SessionStore {
  if (redis === null)
    throw new UsageError('Where is Redis? Give --redis URL, set REDIS_URL, or put redis into the file of --config');
  return redisStore(redis.template(), store);
}

type File = Readonly<Partial<Record<keyof FileOptions, unknown>>>;

function readFile(name: string, here: Surroundings): File {
  const what = 'The file of --config';
  const text = textOfFile(name, what, here);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message would show part of the file.
    throw new UsageError(`${what} is not JSON`);
  }
  if (!isObject(value)) throw new UsageError(`${what} must be a JSON object, got ${kindOf(value)}`);
  checkOptions<FileOptions>(value, what, FILE_OPTIONS, { prefix: '', advice: FILE_ADVICE });
  return value;
}

/** The value, or each of a list, with what its secret members stand for. */
function withSecrets(value: unknown, owner: string, beside: Surroundings): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => withSecrets(item, owner, beside));
  if (!isObject(value)) return value;
  return mapped(value, (member, name) => (isSecret(name) ? resolved(member, `${owner}.${name}`, beside) : member));
}

function isSecret(member: string): boolean {
  return ['secret', 'publicKey', 'url', 'password', 'sentinelPassword'].includes(member);
}

function mapped(object: object, change: (value: unknown, name: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value, name)]));
}

function redisOf(given: Given, ofFile: unknown, { env }: Surroundings): RedisPlace | null {
  const found = given.redis ?? ofFile ?? (env['REDIS_URL'] === '' ? undefined : env['REDIS_URL']);
  if (found === undefined) return null;
  if (given.cluster !== true) return redisPlace(found);
  return redisPlace(typeof found === 'string' ? { url: found, cluster: true } : { cluster: true, ...found });
}

function secretOf(given: Given, name: 'secret' | 'handle-secret', here: Surroundings): string | undefined {
  const { [`${name}-env` as const]: variable, [`${name}-file` as const]: path } = given;
  if (variable !== undefined && path !== undefined)
    throw new UsageError(`Give one of --${name}-env and --${name}-file`);
  if (variable !== undefined) return textOfVariable(variable, `--${name}-env`, here);
  return path === undefined ? undefined : textOfFile(path, `The file of --${name}-file`, here);
}

/** One that is not a string is refused when the issuer is used. */
function namesOf(given: Given, file: File): readonly string[] {
  if (given.issuer !== undefined) return [given.issuer];
  const { realm } = isObject(file.authRocketV1) ? file.authRocketV1 : {};
  const listed: readonly unknown[] = [file.issuer, file.oidc].flat();
  return [
    ...listed.map((options) => (isObject(options) ? options['issuer'] : undefined)),
    ...(file.authRocket === undefined ? [] : ['https://authrocket.com']),
    ...(file.authRocketV1 === undefined ? [] : [typeof realm === 'string' ? `authrocket:${realm}` : 'authrocket']),
  ].filter((name) => typeof name === 'string');
}

function issuersOf(given: Given, file: File, here: Surroundings): readonly IssuerOptions[] {
  const presets = [
    ...(file.oidc === undefined ? [] : [oidc(file.oidc as Parameters<typeof oidc>[0])]),
    ...(file.authRocket === undefined ? [] : [authRocket(file.authRocket as Parameters<typeof authRocket>[0])]),
    ...(file.authRocketV1 === undefined ? [] : [authRocketV1(file.authRocketV1 as Parameters<typeof authRocketV1>[0])]),
  ];
  const listed: readonly unknown[] = file.issuer === undefined ? [] : [file.issuer].flat();
  const flags = issuerByFlags(given, here);
  if (Object.keys(flags).length === 0) return [...(listed as IssuerOptions[]), ...presets];
  const [only, ...others] = [...listed, ...presets];
  if (others.length > 0)
    throw new UsageError('The file has several issuers: the flags of an issuer do not say which is meant');
  const issuer = { ...(isObject(only) ? only : {}), ...flags };
  if (!('issuer' in issuer)) throw new UsageError('These flags need --issuer: the exact iss of the tokens');
  const hasKeys = ['jwksUri', 'secret', 'publicKey', 'discover'].some((name) => name in issuer);
  return [{ ...issuer, ...(hasKeys ? {} : { discover: true }) } as IssuerOptions];
}

function issuerByFlags(given: Given, here: Surroundings): Readonly<Record<string, unknown>> {
  const audience = given.audience?.length === 1 ? given.audience[0] : given.audience;
  const publicKeyFile = given['public-key-file'];
  const publicKey =
    publicKeyFile === undefined ? undefined : textOfFile(publicKeyFile, 'The file of --public-key-file', here);
  const options = {
    issuer: given.issuer,
    audience,
    jwksUri: given['jwks-uri'],
    secret: secretOf(given, 'secret', here),
    publicKey: publicKey?.trimStart().startsWith('{') === true ? parsedKey(publicKey) : publicKey,
    algorithms: given.algorithm,
    clockTolerance: given['clock-tolerance'],
    session: given.session?.length === 1 ? given.session[0] : given.session,
    began: given.began,
    subject: given.subject,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function parsedKey(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError('The file of --public-key-file begins like JSON, and is not JSON');
  }
}
