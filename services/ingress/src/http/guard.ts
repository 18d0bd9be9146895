import type { Config } from '@waypost/config';
import type { Runtime } from '@waypost/runtime';
import type { BackPressure, RateLimiter } from '@waypost/store';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { InFlight } from '../in-flight.js';
import type { AbuseControl, Authenticator, Credential } from '../ports.js';
import { busy, Problem } from './problem.js';

export interface GuardDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly authenticator: Authenticator;
  readonly limiter: RateLimiter;
  readonly pressure: BackPressure;
  readonly inFlight: InFlight;
  readonly abuse: AbuseControl;
}

/** What the guard leaves for the handlers in `response.locals`. */
export interface Locals extends Record<string, unknown> {
  credential: Credential;
  route: string;
}

/** Lets in who has a key with this scope and is within its rate. */
export function guard(scope: 'send' | 'read' | 'admin', deps: GuardDeps): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction) => {
    refuseBanned(request, deps);
    const secret = /^Bearer\s+(\S+)$/i.exec(request.get('authorization') ?? '')?.[1];
    if (!secret) {
      throw new Problem(401, 'missing_api_key', 'Send an API key as "Authorization: Bearer <key>"', {
        headers: CHALLENGE,
      });
    }
    const credential = await authenticate(secret, request, deps);
    if (!credential.scopes.includes(scope)) {
      throw new Problem(403, 'restricted_api_key', `This API key has no "${scope}" scope`);
    }
    await limit(credential, response, deps);
    if (scope === 'send') {
      const reason = deps.pressure.reason();
      if (reason) throw busy(`Try again later: ${reason}`);
      // Nobody waits for the answer any more, and nothing would end the reservation.
      if (request.socket.destroyed || response.closed) return;
      reserve(request, response, deps);
    }
    response.locals.credential = credential;
    next();
  };
}

function refuseBanned({ ip }: Request, { abuse, runtime }: GuardDeps): void {
  const verdict = abuse.lists.verdict(ip);
  if (verdict === 'allow') return;
  if (verdict === 'deny') {
    runtime.metrics.turnedAway.inc({ check: 'deny' });
    throw new Problem(403, 'access_denied', 'Requests from your address are not taken');
  }
  const till = abuse.bans.find(ip);
  if (till === undefined) return;
  runtime.metrics.turnedAway.inc({ check: 'ban' });
  const headers = { 'Retry-After': String(Math.ceil((till - Date.now()) / 1000)) };
  throw new Problem(429, 'too_many_failures', 'Too many failures from your address; try again later', { headers });
}

/** Bodies are in memory while they are worked on, so that only so many octets may be at once. */
function reserve(request: Request, response: Response, { inFlight, config }: GuardDeps): void {
  if (!inFlight.hasRoom()) throw busy('Too many messages at once; try again later');
  const announced = Number(request.get('content-length') ?? Number.NaN);
  const most = config().http.body_limit;
  const octets = Number.isFinite(announced) ? Math.min(announced, most) : most;
  inFlight.add(octets);
  response.once('close', () => inFlight.remove(octets));
}

const CHALLENGE = { 'WWW-Authenticate': 'Bearer' };

async function authenticate(secret: string, request: Request, deps: GuardDeps): Promise<Credential> {
  const remoteAddress = request.ip;
  let credential: Credential | undefined;
  try {
    credential = await deps.authenticator.authenticate({
      user: '',
      password: secret,
      ...(remoteAddress ? { remoteAddress } : {}),
    });
  } catch {
    throw busy('API keys cannot be checked now; try again later');
  }
  if (credential) return credential;
  deps.runtime.metrics.authFailures.inc({ protocol: 'http' });
  if (deps.abuse.lists.verdict(remoteAddress) !== 'allow') deps.abuse.bans.offend(remoteAddress, 'auth');
  throw new Problem(401, 'invalid_api_key', 'The API key is not valid, or not from this address', {
    headers: CHALLENGE,
  });
}

/** Headers as in the IETF's draft of RateLimit fields, and the older X- ones. */
async function limit(credential: Credential, response: Response, { limiter, config }: GuardDeps): Promise<void> {
  const state = await limiter.take(credential.id, config().http.rate_per_second * 60);
  response.set({
    'RateLimit-Policy': `"key";q=${state.limit};w=60`,
    RateLimit: `"key";r=${state.remaining};t=${state.reset}`,
    'X-RateLimit-Limit': String(state.limit),
    'X-RateLimit-Remaining': String(state.remaining),
    'X-RateLimit-Reset': String(state.reset),
  });
  if (state.allowed) return;
  const headers = { 'Retry-After': String(state.reset) };
  throw new Problem(429, 'rate_limit_exceeded', `This key may make ${state.limit} requests a minute`, { headers });
}
