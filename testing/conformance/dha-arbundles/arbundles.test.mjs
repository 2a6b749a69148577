import Arweave from 'arweave'
import * as arbundles from '@dha-team/arbundles'
import { suite } from '../lib/arbundles.mjs'

suite(arbundles.default ?? arbundles, Arweave)
