import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const FAST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const SLOW = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** Every metric, in base units. Never a recipient or a message id as a label. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) =>
    new Counter<T>({ name: `waypost_${name}`, help, labelNames, registers });
  const gauge = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) =>
    new Gauge<T>({ name: `waypost_${name}`, help, labelNames, registers });
  const histogram = <T extends string>(name: string, help: string, buckets: number[], labelNames: readonly T[] = []) =>
    new Histogram<T>({ name: `waypost_${name}`, help, labelNames, buckets, registers });
  return {
    registry,
    /** Adds Node's own process metrics. */
    collectProcess: () => collectDefaultMetrics({ register: registry }),
    messagesReceived: counter('messages_received_total', 'Messages answered 250 or HTTP 200', ['kind', 'protocol']),
    bytesReceived: counter('received_bytes_total', 'Octets of messages answered 250 or HTTP 200', ['kind']),
    messagesRefused: counter('messages_refused_total', 'Transactions refused at ingress', ['kind', 'code']),
    smtpSessions: gauge('smtp_sessions', 'Open SMTP sessions', ['listener']),
    smtpSessionsTotal: counter('smtp_sessions_total', 'SMTP sessions', ['listener', 'result']),
    authFailures: counter('auth_failures_total', 'Failed authentications', ['protocol']),
    inFlightBytes: gauge('in_flight_bytes', 'Octets of messages not yet committed'),
    commitSeconds: histogram('commit_seconds', 'From a complete message to its durable record', FAST),
    commitMessages: histogram('commit_messages', 'Messages that shared a commit', [1, 2, 4, 8, 16, 32, 64]),
    redisGroupSeconds: histogram('redis_group_seconds', 'Round trip of a group of commands', FAST),
    redisGroupCommands: histogram(
      'redis_group_commands',
      'Commands that shared a round trip',
      [1, 4, 16, 64, 256, 1024],
    ),
    queueJobs: gauge('queue_jobs', 'Jobs in the queues; limited ones wait for a limit or a suspension', [
      'queue',
      'state',
    ]),
    queueOldest: gauge('queue_oldest_due_seconds', 'For how long the oldest job that could go has waited', ['queue']),
    lanes: gauge('lanes', 'Lanes with work'),
    redisMemory: gauge('redis_memory_bytes', 'Memory that Redis uses'),
    redisMemoryMax: gauge('redis_memory_max_bytes', 'Memory that Redis may use; 0 for no limit'),
    certificateExpiry: gauge('tls_certificate_expiry_timestamp_seconds', 'When a certificate of the listeners ends', [
      'name',
    ]),
    redisUp: gauge('redis_up', 'Whether Redis can be reached'),
    policyVerdicts: counter('policy_verdicts_total', 'Verdicts of policy', ['verdict']),
    inlineVerdicts: counter('inline_verdicts_total', 'Verdicts given in sessions, and why there was none', ['result']),
    inlineSeconds: histogram('inline_seconds', 'Time until policy had judged a message in its session', FAST),
    policySeconds: histogram('policy_seconds', 'Time to judge a message', FAST),
    authResults: counter('auth_results_total', 'Results of SPF, DKIM, DMARC and ARC of incoming mail', [
      'method',
      'result',
    ]),
    dkimSignatures: counter('dkim_signatures_total', 'DKIM signatures made', ['algorithm']),
    signingFailures: counter('signing_failures_total', 'Messages that ought to be signed and could not be', ['kind']),
    filterCalls: counter('filter_calls_total', 'Messages given to an outside filter', ['filter', 'result']),
    filterSeconds: histogram('filter_seconds', 'Answers of an outside filter', SLOW, ['filter']),
    filterBreaker: gauge('filter_breaker', 'Circuit breaker: 0 closed, 1 half-open, 2 open', ['filter']),
    spamVerdicts: counter('spam_verdicts_total', 'What became of scored messages', ['action']),
    spamLessons: counter('spam_lessons_total', 'Messages that the classifier was taught with', ['class', 'result']),
    dnsListAnswers: counter('dns_list_answers_total', 'Answers of DNS lists', ['list', 'result']),
    spamScore: histogram('spam_score', 'Scores of messages', [-5, 0, 2, 4, 5, 6, 8, 10, 15, 20, 50]),
    deliveryAttempts: counter('delivery_attempts_total', 'Recipients attempted', ['target', 'outcome']),
    deliverySeconds: histogram('delivery_seconds', 'One attempt at a message', SLOW, ['target']),
    deliveryAge: histogram('delivery_age_seconds', 'From acceptance to delivery', SLOW, ['target']),
    deliverySessions: gauge('delivery_sessions', 'Sessions that hold a lease'),
    deliveryConnections: counter('delivery_connections_total', 'Connections to next hops', ['target', 'result']),
    tlsSessions: counter('tls_sessions_total', 'Connections to MX hosts by the policy on their TLS', [
      'policy',
      'result',
    ]),
    expiredWaiting: counter('expired_waiting_total', 'Recipients that expired without a last attempt', ['stage']),
    outcomeUnknown: counter('outcome_unknown_total', 'Connections lost after the final dot, before the reply', [
      'policy',
    ]),
    outcomesToSettle: gauge('outcomes_to_settle', 'Messages whose unknown outcome waits for an operator'),
    dsns: counter('dsn_total', 'Delivery status notifications made', ['action']),
    returned: counter('returned_total', 'Bounces and complaints that came back', ['kind', 'result']),
    reaped: counter('reaped_jobs_total', 'Jobs given back for replicas that died'),
    reconcilerRepairs: counter('reconciler_repairs_total', 'What the reconciler mended', ['kind']),
    reports: counter('reports_total', 'Daily reports handed over', ['kind', 'way', 'result']),
    reportsPending: gauge('reports_pending', 'Daily reports that wait to be sent', ['kind']),
    httpRequests: counter('http_requests_total', 'HTTP requests', ['route', 'method', 'status']),
    httpSeconds: histogram('http_request_seconds', 'HTTP requests', FAST, ['route']),
    offences: counter('abuse_offences_total', 'What addresses did wrong in sessions', ['offence']),
    bans: counter('abuse_bans_total', 'Addresses banned by rule', ['reason']),
    banned: gauge('abuse_banned_networks', 'Networks that are banned now'),
    turnedAway: counter('abuse_refused_total', 'Connections, logins and messages refused', ['check']),
    limited: counter('abuse_limited_total', 'Messages and recipients put off by a limit', ['per', 'measure']),
    callForwards: counter('abuse_call_forwards_total', 'Recipients that the next hop was asked about', ['answer']),
    anomalies: counter('abuse_anomalies_total', 'Credentials that sent far more than their habit in an hour'),
    held: counter('abuse_held_refusals_total', 'Messages put off because their credential is held'),
    tarpitted: gauge('abuse_tarpit_sockets', 'Refused connections that wait for their refusal'),
    configReloadGood: gauge('config_last_reload_successful', 'Whether the newest configuration file is in force'),
    configReloadFailures: counter('config_reload_failures_total', 'Configuration files that were refused'),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
