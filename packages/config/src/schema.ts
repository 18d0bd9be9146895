import { z } from 'zod';
import { abuseSections } from './abuse-schema.js';
import { authSections } from './auth-schema.js';
import { bounceSections } from './bounces-schema.js';
import { classifierSections } from './classifier-schema.js';
import { filterSections } from './filters-schema.js';
import { heldSections } from './held-schema.js';
import { inlineSchema } from './inline-schema.js';
import { reportSections } from './reports-schema.js';
import { rulesSections } from './rules-schema.js';
import { shapingSections } from './shaping-schema.js';
import { signingSections } from './signing-schema.js';
import { smimeSections } from './smime-schema.js';
import { spamSections } from './spam-schema.js';
import { suppressionSections } from './suppressions-schema.js';
import { bytes, duration } from './units.js';
import { unknownOutcome } from './unknown-outcome.js';

/** Environment of one TLS identity; files are watched and reloaded. */
const tlsIdentity = z.strictObject({ cert: z.string(), key: z.string(), servername: z.string().optional() });

const listener = z.strictObject({
  name: z.string(),
  /** submission: AUTH required · relay: trusted networks · mx: accepted domains only. */
  kind: z.enum(['submission', 'relay', 'mx']),
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65535),
  tls: z.enum(['none', 'starttls', 'implicit']).default('starttls'),
  /** AUTH without TLS; only for machines that can do no better. */
  auth_without_tls: z.boolean().default(false),
  /** relay: networks that may use it. */
  allow: z.array(z.string()).default([]),
  /** mx: domains accepted; `*.example.com` matches subdomains. */
  domains: z.array(z.string()).default([]),
  /** Networks whose connections start with a PROXY header (v1 or v2). */
  proxy_protocol: z.array(z.string()).default([]),
  /** Networks that may use XCLIENT. */
  xclient: z.array(z.string()).default([]),
  /** Wait before the banner to catch early talkers; mx only, 0 elsewhere. */
  banner_delay: duration.optional(),
  /** mx: policy is asked before the final dot is answered, so that what it refuses is refused in the session. */
  inline: z.boolean().default(false),
  /** What to do with bare CR or LF in a message. */
  bare_newlines: z.enum(['reject', 'normalise']).default('reject'),
  tenant: z.string().optional(),
});

const limits = z.strictObject({
  message_size: bytes.default(26_214_400 * 2),
  recipients: z.int().min(1).default(1000),
  connections: z.int().min(1).default(2000),
  connections_per_address: z.int().min(1).default(200),
  commands_per_session: z.int().min(1).default(100_000),
  errors_per_session: z.int().min(1).default(20),
  transactions_per_session: z.int().min(1).default(10_000),
  idle_timeout: duration.default(300_000),
  /** From MAIL to the final dot. */
  transaction_timeout: duration.default(1_800_000),
  received_headers: z.int().min(1).default(50),
  header_size: bytes.default(1_048_576),
  /** Body octets one process holds in memory for messages not yet committed. */
  in_flight: bytes.default(268_435_456),
});

const route = z.strictObject({
  /** The recipient's domain: `example.com`, `*.example.com` or `*`. */
  match: z.string(),
  /** Only mail of this tenant, with this tag (`name` or `name=value`), from this sender domain. */
  tenant: z.string().optional(),
  tag: z.string().optional(),
  sender: z.string().optional(),
  /** `mx`, `sink`, `smtp://host[:port]`, `smtps://`, `lmtp://host:port`, `lmtp:/socket`, `maildir:/path`. */
  to: z.string(),
  auth: z.strictObject({ user: z.string(), password: z.string() }).optional(),
  tls: z.enum(['none', 'opportunistic', 'required', 'verify']).optional(),
  /** The egress pool that carries this mail. */
  pool: z.string().optional(),
});

const key = z.strictObject({
  /** Public name of the key; what logs show. */
  id: z.string(),
  /** 16 characters at least: whoever guesses it can send. */
  secret: z.string().min(16, 'needs 16 characters at least, such as from "openssl rand -hex 32"'),
  scopes: z.array(z.enum(['send', 'read', 'admin'])).default(['send', 'read']),
  /** Sender domains this key may use; `*` is any. */
  domains: z.array(z.string()).default(['*']),
  networks: z.array(z.string()).default([]),
  tenant: z.string().optional(),
});

/** The one configuration file. Keys are snake_case as in the file; sizes are octets and durations milliseconds. */
export const configSchema = z.strictObject({
  server: z.strictObject({ hostname: z.string().default('localhost') }).prefault({}),
  redis: z
    .strictObject({
      url: z.string().optional(),
      cluster: z.array(z.string()).optional(),
      sentinel: z
        .strictObject({ hosts: z.array(z.string()), name: z.string(), password: z.string().optional() })
        .optional(),
      embedded: z.strictObject({ dir: z.string(), port: z.int().optional() }).optional(),
      username: z.string().optional(),
      password: z.string().optional(),
      durability: z.enum(['fsync', 'replica', 'memory']).default('fsync'),
      replicas: z.int().min(1).default(1),
      /** Redis memory past which ingress answers 452; `0` takes 85 % of Redis's own maxmemory. */
      high_water: bytes.default(0),
    })
    .prefault({}),
  spool: z
    .strictObject({
      inline_max: bytes.default(65_536),
      blobs: z.enum(['fs', 's3', 'redis']).default('fs'),
      dir: z.string().default('./data/spool'),
      /** Octets of recently stored inline bodies kept in memory for a delivery in the same process. */
      cache: bytes.default(33_554_432),
      s3: z
        .strictObject({
          endpoint: z.string().optional(),
          region: z.string().default('us-east-1'),
          bucket: z.string(),
          prefix: z.string().default(''),
          access_key: z.string().optional(),
          secret_key: z.string().optional(),
          force_path_style: z.boolean().default(true),
        })
        .optional(),
    })
    .prefault({}),
  listeners: z.array(listener).default([]),
  tls: z
    .strictObject({
      /** The first one is the default; the others are chosen by SNI. */
      identities: z.array(tlsIdentity).default([]),
      /** Makes a self-signed identity in this folder where none is given (development). */
      self_signed_dir: z.string().optional(),
      min_version: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
    })
    .prefault({}),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.int().min(0).max(65535).default(8080),
      /** Requests a key may make a second, averaged over a minute. */
      rate_per_second: z.int().min(1).default(500),
      body_limit: bytes.default(41_943_040),
      trust_proxy: z.array(z.string()).default([]),
    })
    .prefault({}),
  api: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.int().min(0).max(65535).default(8081),
      /** Lets requests from this machine in without a key. Not where a proxy on this machine passes others' requests on. */
      open_on_loopback: z.boolean().default(false),
    })
    .prefault({}),
  keys: z.array(key).default([]),
  limits: limits.prefault({}),
  policy: z
    .strictObject({
      partitions: z.int().min(1).default(4),
      concurrency: z.int().min(1).default(32),
      /** Order of the checks; a name may be left out to switch it off. */
      checks: z
        .array(z.string())
        .default([
          'size',
          'loop',
          'recipients',
          'suppression',
          'auth',
          'spam',
          'attachments',
          'rspamd',
          'spamd',
          'clamd',
          'milter',
          'classifier',
          'spam-verdict',
          'rules',
          'smime',
          'arc',
          'dkim',
          'trace',
        ]),
      /** A `defer` verdict or an unavailable check is tried again after this. */
      retry: duration.default(30_000),
      inline: inlineSchema.prefault({}),
      /** Octets of a message that checks look at; of longer ones they see the beginning. */
      scan_max: bytes.default(26_214_400),
      /** Octets of messages that the checks of one process have in memory at once. */
      scan_memory: bytes.default(268_435_456),
    })
    .prefault({}),
  routes: z.array(route).default([]),
  ...authSections,
  ...classifierSections,
  ...filterSections,
  ...shapingSections,
  ...spamSections,
  ...suppressionSections,
  ...reportSections,
  ...signingSections,
  ...smimeSections,
  ...bounceSections,
  ...abuseSections,
  ...rulesSections,
  ...heldSections,
  delivery: z
    .strictObject({
      /** Messages older than this expire. */
      max_age: duration.default(432_000_000),
      retry: z
        .strictObject({
          initial: duration.default(60_000),
          factor: z.number().min(1).default(2),
          max: duration.default(14_400_000),
          /** Part of a delay that is random, 0 to 1. */
          jitter: z.number().min(0).max(1).default(0.2),
          /** After answers that greylist: the delay after the first attempt, the second …; then the others hold. */
          greylist: z.array(duration).default([60_000, 300_000, 600_000, 1_200_000, 2_400_000]),
        })
        .prefault({}),
      /** Connections a site may have from one source over all replicas, where no shaping rule says otherwise. */
      connections: z.int().min(1).default(20),
      /** Connections one process may have over all lanes. */
      sessions: z.int().min(1).default(1000),
      messages_per_connection: z.int().min(1).default(1000),
      recipients_per_transaction: z.int().min(1).max(1000).default(100),
      /** An open connection without work is kept this long, unless another site needs its place. */
      idle: duration.default(2_000),
      delay_dsn_after: duration.default(14_400_000),
      unknown_outcome: unknownOutcome.default({ default: 'retry', tenants: {} }),
      timeouts: z
        .strictObject({
          dns: duration.default(10_000),
          connect: duration.default(30_000),
          greeting: duration.default(60_000),
          command: duration.default(120_000),
          data: duration.default(300_000),
          final_dot: duration.default(600_000),
        })
        .prefault({}),
      /** Port for MX hosts; 25 but in tests. */
      mx_port: z.int().default(25),
      ehlo: z.string().optional(),
      dns_servers: z.array(z.string()).default([]),
      /**
       * The name servers validate DNSSEC, and nobody can come between them and us: hosts with TLSA records are then
       * authenticated by DANE.
       */
      dnssec: z.boolean().default(false),
      /** The MTA-STS policies of recipient domains are fetched and kept to. */
      mta_sts: z.boolean().default(true),
      /** Port of the web servers that have them; 443 but in tests. */
      mta_sts_port: z.int().default(443),
      ip_family: z.enum(['any', 'ipv4', 'ipv6']).default('any'),
      /** Which family's addresses of a host are tried first. Containers often have no route for IPv6. */
      prefer_family: z.enum(['ipv4', 'ipv6']).default('ipv4'),
      local_address: z.string().optional(),
      /** Octets of the sink's newest messages kept to be read in the dashboard. */
      sink_keep: z.int().min(0).default(500),
      /** Retention of a record after the last recipient is terminal. */
      retention: duration.default(86_400_000),
    })
    .prefault({}),
  telemetry: z
    .strictObject({
      metrics_host: z.string().default('127.0.0.1'),
      metrics_port: z.int().min(0).max(65535).default(9464),
      otlp_endpoint: z.string().default(''),
      /** Share of traces kept, 0 to 1. */
      sample_ratio: z.number().min(0).max(1).default(1),
      log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
      /** Addresses in logs: as they are, as keyed hashes, or not at all. */
      pii: z.enum(['full', 'hashed', 'none']).default('full'),
      /** Secret of the hashes; the same for all processes, so that an address can be followed. */
      pii_key: z.string().min(16, 'needs 16 characters at least').optional(),
    })
    .prefault({}),
  /** Time to finish open work after SIGTERM. */
  grace: duration.default(25_000),
});

export type Config = z.output<typeof configSchema>;
export type ListenerConfig = Config['listeners'][number];
export type RouteConfig = Config['routes'][number];
export type KeyConfig = Config['keys'][number];
export type RedisConfig = Config['redis'];
