export type * from './events.js'
export type { CheckFunction, HealthCheck, Observation } from './health/checks.js'
export { type HealthMiddleware, type HealthOptions, health } from './health/middleware.js'
export type { HealthEntry, HealthReport, HealthStatus, SimpleHealthReport } from './health/report.js'
export type { CountedEvent, CountedEvents } from './metrics/counted.js'
export type { CounterSample } from './metrics/counters.js'
export type { HistogramSample, MetricFamily, MetricSample } from './metrics/families.js'
export type { FleetStats } from './metrics/fleet.js'
export {
  createMetrics,
  type FleetOptions,
  type Metrics,
  type MetricsOptions,
  type MetricsSnapshot,
} from './metrics/metrics.js'
export type { OperationOutcome, OperationStats } from './metrics/operations.js'
export type { Condition, Level, MonitorAlert, Threshold, Thresholds } from './monitor/alert.js'
export { createMonitor, type Monitor, type MonitorOptions } from './monitor/monitor.js'
export { type PrometheusOptions, prometheus } from './prometheus/middleware.js'
export type { PrometheusRegistry } from './prometheus/registry.js'
export type { UpkeepProgress, UpkeepRun, UpkeepTask, UpkeepTurn } from './upkeep/task.js'
export { createUpkeep, type Upkeep, type UpkeepOptions } from './upkeep/upkeep.js'
