import { randomFillSync } from 'node:crypto';
import type { Span as OtelSpan, Tracer as OtelTracer } from '@opentelemetry/api';

/** One timed step of a message's way. */
export interface Span {
  /** W3C trace context of this span, to be handed on. */
  readonly traceparent: string;
  set(name: string, value: string | number | boolean): void;
  end(error?: Error): void;
}

export interface SpanOptions {
  /** Trace context of the parent; a new trace without. */
  readonly parent?: string | undefined;
  /** Other spans this one follows from. */
  readonly links?: readonly string[];
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  readonly kind?: 'server' | 'client' | 'producer' | 'consumer' | 'internal';
  /** Milliseconds since the epoch. */
  readonly startTime?: number;
}

export interface Tracer {
  start(name: string, options?: SpanOptions): Span;
  /** Sends what is waiting. */
  stop(): Promise<void>;
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
/** @returns the text when it is a valid W3C traceparent, else undefined. */
export function parseTraceparent(text: string | undefined): string | undefined {
  const match = TRACEPARENT.exec(text?.trim() ?? '');
  return match && !/^0+$/.test(match[1] as string) && !/^0+$/.test(match[2] as string) ? match[0] : undefined;
}

const pool = Buffer.alloc(4096);
let used = pool.length;
/** @returns a new trace context in the trace of `parent`, or in a new trace. */
export function newTraceparent(parent?: string, sampled = true): string {
  if (used + 24 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const trace = parent ? parent.slice(3, 35) : pool.toString('hex', used, used + 16);
  const span = pool.toString('hex', used + 16, used + 24);
  used += 24;
  return `00-${trace}-${span}-${parent ? parent.slice(53) : sampled ? '01' : '00'}`;
}

/** Telemetry off: ids for the logs are still made, nothing else. */
export const noTracer: Tracer = {
  start: (_name, options) => ({
    traceparent: newTraceparent(options?.parent, false),
    set: () => undefined,
    end: () => undefined,
  }),
  stop: async () => undefined,
};

export interface TracerOptions {
  /** OTLP over HTTP with protobuf, such as `http://collector:4318`; empty is off. */
  readonly endpoint: string;
  /** Share of new traces kept, 0 to 1. */
  readonly sampleRatio: number;
  readonly service: string;
}

/** @returns a tracer; with no endpoint OpenTelemetry is not even loaded. */
export async function createTracer(options: TracerOptions): Promise<Tracer> {
  if (!options.endpoint) return noTracer;
  const [api, { NodeSDK }, tracing, resources, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-proto'),
  ]);
  const exporter = new OTLPTraceExporter({ url: `${options.endpoint.replace(/\/$/, '')}/v1/traces` });
  const sdk = new NodeSDK({
    resource: resources.resourceFromAttributes({ 'service.name': options.service, 'service.namespace': 'waypost' }),
    sampler: new tracing.ParentBasedSampler({ root: new tracing.TraceIdRatioBasedSampler(options.sampleRatio) }),
    spanProcessors: [new tracing.BatchSpanProcessor({ exporter })],
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    autoDetectResources: false,
  });
  sdk.start();
  const tracer = api.trace.getTracer('waypost');
  return { start: (name, span = {}) => startSpan(api, tracer, name, span), stop: () => sdk.shutdown() };
}

type Api = typeof import('@opentelemetry/api');

function startSpan(api: Api, tracer: OtelTracer, name: string, options: SpanOptions): Span {
  const parent = options.parent ? remoteContext(api, options.parent) : undefined;
  const context = parent ? api.trace.setSpanContext(api.ROOT_CONTEXT, parent) : api.ROOT_CONTEXT;
  const links = (options.links ?? []).map((link) => ({ context: remoteContext(api, link) }));
  const kinds = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 } as const;
  const span: OtelSpan = tracer.startSpan(
    name,
    {
      kind: kinds[options.kind ?? 'internal'],
      links,
      ...(options.attributes ? { attributes: { ...options.attributes } } : {}),
      ...(options.startTime === undefined ? {} : { startTime: options.startTime }),
    },
    context,
  );
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    set: (key, value) => void span.setAttribute(key, value),
    end: (error) => {
      if (error) {
        span.recordException(error);
        span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message });
      }
      span.end();
    },
  };
}

function remoteContext(_api: Api, traceparent: string) {
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53), 16),
    isRemote: true,
  };
}
