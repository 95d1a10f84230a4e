const express = require('express')
const holdfast = require('holdfast')
const { redisSession } = require('holdfast/session')
const exercise = require('./exercise.cjs')

test('serves', () => exercise({ express, holdfast, redisSession }))
