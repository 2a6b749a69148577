import Arweave from 'arweave'
import * as arbundles from 'arbundles'
import { suite } from '../lib/arbundles.mjs'

suite(arbundles.default ?? arbundles, Arweave)
