const express = require('express')
const holdfast = require('holdfast')
const { redisSession } = require('holdfast/session')
const exercise = require('./exercise.cjs')

exercise({ express, holdfast, redisSession }).then(() => console.log('served'))
