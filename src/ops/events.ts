import type { MonitorAlert } from './monitor/alert.js'
import type { UpkeepRun } from './upkeep/task.js'

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** A condition of the monitor has begun: once until it clears. */
    readonly 'monitor.alert': MonitorAlert
    /** The condition of an alert is over. */
    readonly 'monitor.cleared': MonitorAlert
    /** A task of the upkeep ran in this process. */
    readonly 'upkeep.run': UpkeepRun
  }
}
