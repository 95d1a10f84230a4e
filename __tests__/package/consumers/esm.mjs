import express from 'express'
import { createRedisManager, health, rateLimit, responseCache, securityLog } from 'holdfast'
import { redisSession } from 'holdfast/session'
import exercise from './exercise.cjs'

const holdfast = { createRedisManager, health, rateLimit, responseCache, securityLog }
await exercise({ express, holdfast, redisSession })
console.log('served')
