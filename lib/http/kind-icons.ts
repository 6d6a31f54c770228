/** What the page draws beside each session. */

import type { ClientKind } from './user-agent.js';

/** Bodies of 24 by 24 line drawings. */
export const KIND_ICONS: Readonly<Record<ClientKind, string>> = {
  phone: '<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18.5h2"/>',
  tablet: '<rect x="4.5" y="2.5" width="15" height="19" rx="2.5"/><path d="M11 18.5h2"/>',
  desktop: '<rect x="2.5" y="4" width="19" height="12.5" rx="2"/><path d="M8.5 20.5h7M12 16.5v4"/>',
  television: '<rect x="2.5" y="7" width="19" height="13" rx="2"/><path d="m8 2.5 4 4.5 4-4.5"/>',
  watch:
    '<rect x="6.5" y="6.5" width="11" height="11" rx="3"/><path d="m9 6.5.7-4h4.6l.7 4M9 17.5l.7 4h4.6l.7-4M12 10v2l1.4 1"/>',
  headset:
    '<rect x="2.5" y="7" width="19" height="10.5" rx="3.5"/><path d="m9 17.5 1.6-2.4h2.8l1.6 2.4M6.5 11h1M16.5 11h1"/>',
  car: '<path d="M3 16v-3.2l2-1.3 2-4.5h10l2 4.5 2 1.3V16zM5 11.5h14M5.5 16v2.5M18.5 16v2.5M6.5 13.7h1M16.5 13.7h1"/>',
  app: '<rect x="3" y="3" width="7.5" height="7.5" rx="2"/><rect x="13.5" y="3" width="7.5" height="7.5" rx="2"/><rect x="3" y="13.5" width="7.5" height="7.5" rx="2"/><rect x="13.5" y="13.5" width="7.5" height="7.5" rx="2"/>',
  robot:
    '<rect x="3.5" y="8" width="17" height="12" rx="2.5"/><path d="M12 8V4M9 13v2M15 13v2M1.5 13v3M22.5 13v3"/><circle cx="12" cy="3" r="1"/>',
  unknown:
    '<circle cx="12" cy="12" r="9.5"/><path d="M9.2 9.2a2.9 2.9 0 1 1 4.3 2.6c-1 .5-1.5 1.1-1.5 2.2M12 17.4v.1"/>',
};
