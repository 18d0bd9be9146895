export { Expirer, type ExpirerDeps } from './expirer.js';
export { Reconciler, type ReconcilerDeps } from './reconciler.js';
export { DailyReports, type DailyReportsDeps } from './reports/daily-reports.js';
export { isPublicAddress } from './reports/public-address.js';
export type { Report, ReportKind } from './reports/report.js';
export { createEvents, type EventsDeps } from './service.js';
