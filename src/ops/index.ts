export type { CheckFunction, HealthCheck, Observation } from './checks.js'
export { type HealthMiddleware, type HealthOptions, health } from './middleware.js'
export type { HealthEntry, HealthReport, HealthStatus } from './report.js'
