import { spawnSync } from 'node:child_process';

import type { SessionPolicy } from '../../lib/core/policy.js';
import { sessionUser } from '../../lib/core/session.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { describeSessionStore } from '../contract.js';

describeSessionStore('memoryStore', () => Promise.resolve({ store: memoryStore() }));
