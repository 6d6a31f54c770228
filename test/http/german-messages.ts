/** The page in German: what a site writes to offer another language. */

import type { Messages } from '../../lib/http/messages.js';

export const germanMessages: Messages = {
  language: 'de',
  direction: 'ltr',

  title: 'Wo Sie angemeldet sind',
  intro: 'Alle Geräte und Apps, die an Ihrem Konto angemeldet sind. Melden Sie ab, was Sie nicht kennen.',
  thisDevice: 'Dieses Gerät',
  otherDevices: (count) => (count === 0 ? 'Andere Geräte' : `Andere Geräte (${String(count)})`),
  noOthers: 'Sie sind sonst nirgends angemeldet.',
  nothingHere: 'Hier gibt es nichts weiter.',

  lastSeen: (ago) => `Zuletzt gesehen ${ago}`,
  activeNow: 'Gerade aktiv',
  sessions: (count) => `${String(count)} Sitzungen`,
  newDevice: 'Neu',
  notYou: 'Nicht Sie?',
  notYouUrl: '/konto/passwort',

  showDetails: (device) => `Einzelheiten zu ${device}`,
  showSessions: (device, count) => `Die ${String(count)} Sitzungen von ${device} zeigen`,
  app: 'Anwendung',
  program: 'Programm',
  model: 'Gerät',
  version: 'Fassung',
  address: 'Adresse',
  thisNetwork: 'Dieses Netz',
  signedIn: 'Angemeldet',
  ends: 'Endet',

  rename: 'Umbenennen',
  save: 'Namen speichern',
  cancel: 'Abbrechen',
  removeNameHint: 'Leer lassen, um den Namen zu entfernen.',
  renameDevice: (device) => `Umbenennen: ${device}`,
  nameFor: (device) => `Name für ${device}`,

  signOut: 'Abmelden',
  signOutAll: 'Alle abmelden',
  signOutEverywhereElse: 'Überall sonst abmelden',
  signOutDevice: (device) => `Abmelden: ${device}`,
  signOutSessions: (device, count) => `Alle ${String(count)} Sitzungen von ${device} abmelden`,
  confirmSignOut: (device) => `${device} abmelden? Dort ist dann eine neue Anmeldung nötig.`,
  confirmSignOutSessions: (device, count) =>
    `Alle ${String(count)} Sitzungen von ${device} abmelden? Dort ist dann eine neue Anmeldung nötig.`,
  confirmSignOutHere: 'Hier abmelden? Auf diesem Gerät ist dann eine neue Anmeldung nötig.',
  confirmSignOutEverywhereElse: 'Alle Geräte außer diesem abmelden? Dort ist dann überall eine neue Anmeldung nötig.',

  more: 'Weitere Geräte zeigen',
  first: 'Zurück zu den neuesten',
  tryAgain: 'Noch einmal versuchen',
  back: 'Zurück zu Ihren Geräten',
  signInAgain: 'Neu anmelden',

  clientOn: (client, device) => `${client} auf ${device}`,
  appUsing: (library) => `App mit ${library}`,
  appName: (id) => id,
  actingForYou: () => 'Ein Assistent, der für Sie handelt',
  kinds: {
    phone: 'Telefon',
    tablet: 'Tablet',
    desktop: 'Computer',
    television: 'Fernseher',
    watch: 'Uhr',
    headset: 'VR-Brille',
    car: 'Auto',
    app: 'App',
    robot: 'Programm',
    unknown: 'Unbekanntes Gerät',
  },
  done: {
    ended: 'Das Gerät wurde abgemeldet.',
    selected: 'Diese Sitzungen wurden abgemeldet.',
    others: 'Alle anderen Geräte wurden abgemeldet.',
    renamed: 'Der Name wurde gespeichert.',
  },
  problems: {
    not_found: 'Dieses Gerät ist schon abgemeldet.',
    invalid: 'Das ging nicht: Ein Name hat höchstens 64 Zeichen.',
    refused: 'Diese Anfrage kam nicht von dieser Seite. Es wurde nichts geändert.',
    sign_in_again: 'Es wurde noch nichts geändert: Bitte melden Sie sich dafür zuerst neu an.',
    unavailable:
      'Ihre Geräte lassen sich gerade nicht anzeigen. Es ging nichts verloren: Bitte versuchen Sie es gleich noch einmal.',
    signed_out: 'Sie sind abgemeldet. Melden Sie sich wieder an, um Ihre Geräte zu sehen.',
  },
};
