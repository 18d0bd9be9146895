import {
  type Config,
  type EgressSource,
  hasTag,
  type MessageTag,
  type OnUnknownOutcome,
  type ProviderRule,
  type Rate,
  type ShapingRule,
  short,
} from '@waypost/config';
import { matchDomain } from '@waypost/mail';
import { formatLane, hostOf, type LaneName, parseLane } from './lane-name.js';
import type { Limit, Offer } from './offer.js';
import { COMMON_REPLIES, PROVIDERS } from './providers.js';
import { type CompiledReplyRule, compileReplyRule } from './replies.js';
import { siteUnder } from './site.js';

/** The part of the configuration that shapes traffic. */
export type ShapingConfig = Pick<Config, 'shaping' | 'providers' | 'egress' | 'delivery'>;

/** What one message asks of a lane. */
export interface LaneFacts {
  /** `laneOf` of its target, with the site in place of the domain where it is known. */
  readonly base: string;
  /** The recipients' domain. */
  readonly domain: string;
  readonly tenant?: string | undefined;
  readonly tags?: readonly MessageTag[] | undefined;
  readonly pool?: string | undefined;
}

/** How a lane is served. Times in ms. */
export interface LaneTerms {
  readonly name: LaneName;
  readonly provider?: string;
  /** One for each source of the pool, with its weight. */
  readonly offers: readonly { readonly offer: Offer; readonly weight: number }[];
  /** Sessions that are worth having over all sources. */
  readonly connections: number;
  readonly messagesPerConnection: number;
  readonly recipientsPerTransaction: number;
  readonly tls?: NonNullable<ShapingRule['tls']>;
  readonly retry: Config['delivery']['retry'];
  readonly maxAge: number;
  /** Where a rule says so. */
  readonly unknownOutcome?: OnUnknownOutcome;
  readonly replies: readonly CompiledReplyRule[];
}

type SiteRule = Pick<
  ShapingRule,
  | 'site_connections'
  | 'site_rate'
  | 'messages_per_connection'
  | 'recipients_per_transaction'
  | 'tls'
  | 'retry'
  | 'max_age'
  | 'unknown_outcome'
>;

interface NamedRule {
  readonly id: string;
  readonly rule: ShapingRule;
  /** It selects by recipient domain, tenant or tag, so that such mail needs a lane of its own. */
  readonly own: boolean;
}

const CACHED = 20_000;
const DAY = 86_400_000;

/**
 * The shaping rules of one configuration, compiled. A plan is thrown away with its configuration.
 * @throws SyntaxError where a rule's text is no regular expression.
 */
export class ShapingPlan {
  readonly #rules: readonly NamedRule[];
  readonly #own: readonly NamedRule[];
  readonly #providers: readonly (ProviderRule & { readonly compiled: readonly CompiledReplyRule[] })[];
  readonly #common = COMMON_REPLIES.map(compileReplyRule);
  readonly #compiled: ReadonlyMap<NamedRule, readonly CompiledReplyRule[]>;
  readonly #terms = new Map<string, LaneTerms>();
  #day = 0;

  constructor(private readonly config: ShapingConfig) {
    this.#rules = config.shaping.map((rule) => ({ id: ruleId(rule), rule, own: selectsMessages(rule) }));
    this.#own = this.#rules.filter(({ own }) => own);
    const named = new Set(config.providers.map(({ name }) => name));
    this.#providers = [...config.providers, ...PROVIDERS.filter(({ name }) => !named.has(name))].map((provider) => ({
      ...provider,
      compiled: provider.replies.map(compileReplyRule),
    }));
    this.#compiled = new Map(this.#rules.map((rule) => [rule, rule.rule.replies.map(compileReplyRule)]));
  }

  /** @returns the lane for mail of this kind; mail that rules single out has one of its own, so that it holds up no other. */
  lane({ base, domain, tenant, tags, pool }: LaneFacts): string {
    const { default_pool } = this.config.egress;
    const chosen = pool === default_pool ? undefined : pool;
    if (!chosen && this.#own.length === 0) return base;
    const classes = this.#own
      .filter(
        ({ rule }) =>
          matchDomain(rule.match, domain) &&
          (rule.tenant === undefined || rule.tenant === tenant) &&
          (rule.tag === undefined || hasTag(tags, rule.tag)) &&
          this.#fitsPlace(rule, base),
      )
      .map(({ id }) => id);
    return formatLane({ base, classes: [...new Set(classes)], ...(chosen ? { pool: chosen } : {}) });
  }

  /** @returns how a lane is served; the same object until the configuration or the day changes. */
  terms(lane: string, now = Date.now()): LaneTerms {
    const day = Math.floor(now / DAY);
    if (day !== this.#day || this.#terms.size >= CACHED) this.#terms.clear();
    this.#day = day;
    let terms = this.#terms.get(lane);
    if (!terms) {
      terms = this.#build(lane, day);
      this.#terms.set(lane, terms);
    }
    return terms;
  }

  #build(lane: string, day: number): LaneTerms {
    const name = parseLane(lane);
    const { delivery } = this.config;
    const provider = this.#providers.find(({ mx }) => isMx(name.base) && fitsMx(mx, name.base));
    const fitting = this.#rules.filter(
      ({ id, rule, own }) =>
        (!own || name.classes.includes(id) || isNextHop(rule, name.base)) &&
        (rule.provider === undefined || rule.provider === provider?.name) &&
        this.#fitsPlace(rule, name.base),
    );
    const general = fitting.filter(({ rule }) => rule.source === undefined);
    const layers: SiteRule[] = [...general.map(({ rule }) => rule), ...(provider ? [provider] : [])];
    const first = <K extends keyof SiteRule>(key: K) => layers.find((layer) => layer[key] !== undefined)?.[key];
    const shared = [...general.flatMap(({ id, rule }) => toLimit(id, rule)), ...providerLimit(provider)];
    const offers = this.#sources(name.pool).map(({ source, weight }) => ({
      weight,
      offer: this.#offer(name, source, { first, shared, provider, fitting, day }),
    }));
    const tls = first('tls');
    const unknownOutcome = first('unknown_outcome');
    return {
      name,
      offers,
      ...(provider ? { provider: provider.name } : {}),
      connections: Math.min(
        offers.reduce((sum, { offer }) => sum + (offer.limits[0]?.connections ?? 0), 0),
        ...shared.map(({ connections }) => connections ?? Number.POSITIVE_INFINITY),
      ),
      messagesPerConnection: first('messages_per_connection') ?? delivery.messages_per_connection,
      recipientsPerTransaction: first('recipients_per_transaction') ?? delivery.recipients_per_transaction,
      ...(tls ? { tls } : {}),
      retry: {
        ...delivery.retry,
        ...(defined(first('retry') ?? {}) as Partial<Config['delivery']['retry']>),
      } as LaneTerms['retry'],
      maxAge: first('max_age') ?? delivery.max_age,
      ...(unknownOutcome ? { unknownOutcome } : {}),
      replies: [
        ...fitting.flatMap((rule) => this.#compiled.get(rule) ?? []),
        ...(provider?.compiled ?? []),
        ...this.#common,
      ],
    };
  }

  #offer(name: LaneName, source: EgressSource | undefined, facts: OfferFacts): Offer {
    const { first, shared, provider, fitting, day } = facts;
    const from = source ? `|${source.name}` : '';
    const mine = fitting.filter(({ rule }) => rule.source !== undefined && rule.source === source?.name);
    const own = <K extends 'site_connections' | 'site_rate'>(key: K) =>
      mine.find(({ rule }) => rule[key] !== undefined)?.rule[key] ?? first(key);
    return {
      ...(source ? { source } : {}),
      limits: [
        {
          key: `site:${name.base}${from}`,
          connections: own('site_connections') ?? this.config.delivery.connections,
          rates: (own('site_rate') as Rate[] | undefined) ?? [],
        },
        ...shared,
        ...mine.flatMap(({ id, rule }) => toLimit(id, rule)),
        ...warmUp(source, day),
      ],
      scopes: [
        `site:${name.base}`,
        ...(source ? [`site:${name.base}${from}`, `source:${source.name}`] : []),
        ...(provider ? [`provider:${provider.name}`, ...(source ? [`provider:${provider.name}${from}`] : [])] : []),
        ...name.classes.map((id) => `class:${id}`),
      ],
    };
  }

  #sources(wanted: string | undefined): { source: EgressSource | undefined; weight: number }[] {
    const { egress } = this.config;
    const pool = egress.pools.find(({ name }) => name === (wanted ?? egress.default_pool));
    const sources = (pool?.sources ?? []).flatMap(({ source: name, weight }) => {
      const source = egress.sources.find((one) => one.name === name);
      return source ? [{ source, weight }] : [];
    });
    return sources.length > 0 ? sources : [{ source: undefined, weight: 1 }];
  }

  #fitsPlace(rule: ShapingRule, base: string): boolean {
    return rule.mx === undefined || (isMx(base) && fitsMx([rule.mx], base));
  }
}

interface OfferFacts {
  readonly first: <K extends keyof SiteRule>(key: K) => SiteRule[K] | undefined;
  readonly shared: readonly Limit[];
  readonly provider: ProviderRule | undefined;
  readonly fitting: readonly NamedRule[];
  readonly day: number;
}

function selectsMessages({ match, tenant, tag }: ShapingRule): boolean {
  return match !== '*' || tenant !== undefined || tag !== undefined;
}

/** @returns what a rule is known by in lanes and limits: its selectors. */
function ruleId({ match, mx, provider, source, tenant, tag }: ShapingRule): string {
  const selectors = Object.entries({ d: match === '*' ? undefined : match, mx, provider, source, tenant, tag })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${short(String(value).toLowerCase().replaceAll('*.', '.'))}`);
  return selectors.join(',') || 'all';
}

function toLimit(id: string, { connections, rate }: ShapingRule): Limit[] {
  if (connections === undefined && rate === undefined) return [];
  return [{ key: `rule:${id}`, rates: rate ?? [], ...(connections === undefined ? {} : { connections }) }];
}

function providerLimit(provider: ProviderRule | undefined): Limit[] {
  if (!provider || (provider.connections === undefined && provider.rate === undefined)) return [];
  const { name, connections, rate } = provider;
  return [{ key: `provider:${name}`, rates: rate ?? [], ...(connections === undefined ? {} : { connections }) }];
}

/** A source that is new sends no more a day than its plan allows. */
function warmUp(source: EgressSource | undefined, day: number): Limit[] {
  if (!source?.warm_up) return [];
  const { start, per_day } = source.warm_up;
  const cap = per_day[day - Math.floor(Date.parse(start) / DAY)];
  if (day < Math.floor(Date.parse(start) / DAY))
    return [{ key: `warm:${source.name}`, rates: [{ limit: 0, period: DAY }] }];
  return cap === undefined ? [] : [{ key: `warm:${source.name}`, rates: [{ limit: cap, period: DAY }] }];
}

/** A rule by domain may also mean a smart host by its name. */
const isNextHop = ({ match, tenant, tag }: ShapingRule, base: string) =>
  !isMx(base) && tenant === undefined && tag === undefined && matchDomain(match, hostOf(base) ?? '');
const isMx = (base: string) => base.startsWith('mx:');
const fitsMx = (patterns: readonly string[], base: string) =>
  patterns.some((pattern) => siteUnder(base.slice('mx:'.length), pattern));
const defined = <T extends object>(given: T): Partial<T> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;

const plans = new WeakMap<object, ShapingPlan>();

/** @returns the plan of a configuration; compiled once. */
export function planOf(config: Config): ShapingPlan {
  let plan = plans.get(config);
  if (!plan) {
    plan = new ShapingPlan(config);
    plans.set(config, plan);
  }
  return plan;
}
