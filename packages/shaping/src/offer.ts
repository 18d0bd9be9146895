import type { EgressSource, Rate } from '@waypost/config';

/** One limit that a session must have room in. Its key is shared by all whom the limit covers. */
export interface Limit {
  readonly key: string;
  /** Sessions at once. */
  readonly connections?: number;
  readonly rates: readonly Rate[];
}

/** One way to serve a lane: from one egress source, within its limits. */
export interface Offer {
  /** Absent for the machine's own address. */
  readonly source?: EgressSource;
  /** The first one is the site's own from this source: what feedback narrows. */
  readonly limits: readonly Limit[];
  /** Scopes that can be suspended. */
  readonly scopes: readonly string[];
}
