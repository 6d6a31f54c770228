import { englishMessages } from '../../lib/http/messages.js';
import { clientInWords, describeClient, isProgram, type ClientKind } from '../../lib/http/user-agent.js';

const ANDROID = 'AppleWebKit/537.36 (KHTML, like Gecko)';

test.each<[string, string]>([
  ['Finch/3.60.1 CFNetwork/1496.0.7 Darwin/23.5.0', 'Finch 3.60'],
  ['Mint/2024.5 CFNetwork/1496.0.7 Darwin/23.5.0', 'Mint 2024.5'],
  ['HEY/1.2 (iPhone; iOS 17.5; Scale/3.00)', 'HEY 1.2 on iPhone'],
  ['Node/4.1 (com.acme.node; build:7; iOS 17.5.1) Alamofire/5.9.1', 'Node 4.1 on iOS'],
  ['Curl/2.0 okhttp/4.12.0', 'Curl 2.0'],
])('an app that is called like a program is an app: %s', (userAgent, words) => {
  expect(isProgram(userAgent)).toBe(false);
  expect(clientInWords(describeClient(userAgent), englishMessages)).toBe(words);
});

test.each<[string, string]>([
  ['Boto3/1.34.113 md/Botocore#1.34.113 ua/2.0 os/linux#6.5', 'Python'],
  ['feign', 'Java'],
  ['phin', 'Node.js'],
  ['swift-server/async-http-client', 'Swift'],
  ['HTTP.jl/1.10.2', 'Julia'],
  ['http-client/0.7.17', 'Haskell'],
  ['R (4.3.3 x86_64-pc-linux-gnu x86_64 linux-gnu)', 'R'],
  ['Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/24.1.0', 'jsdom'],
  ['check_http/v2.3.3 (nagios-plugins 2.3.3)', 'Health check'],
  ['Zabbix 6.4.14', 'Health check'],
  ['Grafana/10.4.2', 'Health check'],
  ['Uptime-Kuma/1.23.13', 'Health check'],
  ['GoogleOther', 'GoogleOther'],
  ['APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)', 'APIs-Google'],
  ['FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)', 'FeedFetcher-Google'],
  [
    `Mozilla/5.0 (Linux; Android 7.0; SM-G930V Build/NRD90M) ${ANDROID} Chrome/59.0.3071.125 Mobile Safari/537.36 (compatible; Google-Read-Aloud; +https://support.google.com/webmasters/answer/1061943)`,
    'Google-Read-Aloud',
  ],
  ['Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b', 'BingPreview'],
  ['Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5', 'SkypeUriPreview'],
  ['meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)', 'meta-externalagent'],
  ['Mozilla/5.0 (compatible; Qwantify/1.0; +https://www.qwant.com/)', 'Qwantify'],
  ['ia_archiver', 'ia_archiver'],
  ['Mozilla/5.0 (compatible; Miniflux/2.1.3; +https://miniflux.app)', 'Miniflux'],
  [
    'Mozilla/5.0 (compatible; Cloudflare-Healthchecks/1.0; +https://www.cloudflare.com/; healthcheck-id: abc)',
    'Cloudflare-Healthchecks',
  ],
  ['GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)', 'Health check'],
  ['colly - https://github.com/gocolly/colly', 'Go'],
])('is a program: %s', (userAgent, name) => {
  expect(isProgram(userAgent)).toBe(true);
  expect(describeClient(userAgent).name).toBe(name);
});

test.each<[words: string, kind: ClientKind, userAgent: string]>([
  [
    'Opera Mini on Android',
    'phone',
    'Opera/9.80 (Android; Opera Mini/76.0.2254/191.303; U; en) Presto/2.12.423 Version/12.16',
  ],
  ['Chromecast', 'television', `Mozilla/5.0 (Linux; Android 12; Chromecast) ${ANDROID} Chrome/125.0.0.0 Safari/537.36`],
  ['TV', 'television', `Mozilla/5.0 (Linux; Android 9; MIBOX4) ${ANDROID} Chrome/98.0.4758.101 Safari/537.36`],
  [
    'Chrome on Polestar 2',
    'car',
    `Mozilla/5.0 (Linux; Android 12; Polestar 2) ${ANDROID} Chrome/125.0.0.0 Safari/537.36`,
  ],
  [
    'VIZIO TV',
    'television',
    `Mozilla/5.0 (Linux; armv7l) ${ANDROID} Chrome/98.0 Safari/537.36 VIZIO SmartCast(Conjure/SX7A-4.0 FW/9.0)`,
  ],
  [
    'Instagram 275.0 on Android',
    'app',
    'Instagram 275.0.0.27.98 Android (33/13; 420dpi; 1080x2400; samsung; SM-G991B; o1s; exynos2100; en_GB; 458229237)',
  ],
  ['Internet Explorer on Windows 8', 'desktop', 'Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)'],
  ['Acme 2.1 on iPad', 'app', 'Acme/2.1 (iPad; iOS 17.5.1; Scale/2.00)'],
  [
    'Microsoft Office Word 16.0 on Windows',
    'app',
    'Microsoft Office Word/16.0.17628 (Windows/10.0; Desktop x64; de-DE; Desktop app; Dell Inc./XPS 15)',
  ],
  [
    'Microsoft Teams on Windows',
    'app',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.0.0 Teams/24124.1412.2911.3341',
  ],
  [
    'Pinterest on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]',
  ],
  [
    'Outlook 2.0 on Android',
    'app',
    `Mozilla/5.0 (Linux; Android 14; SM-G998B; wv) ${ANDROID} Version/4.0 Chrome/125 Mobile Safari/537.36 Outlook-Android/2.0`,
  ],
  ['App on iOS', 'app', 'iOS/17.5.1 (21F90) dataaccessd/1.0'],
  ['App on macOS', 'app', 'macOS/14.5 (23F79) CalendarAgent/961.4.2'],
  ['K-9 Mail on Android', 'app', 'K-9 Mail for Android'],
  ['Airmail 5.7', 'app', 'Airmail 5.7.2'],
  ['GitHub CLI 2.50', 'app', 'GitHub CLI 2.50.0'],
  ['Links on Linux', 'app', 'Links (2.28; Linux 6.1.0-18-amd64 x86_64; GNU C 12.2; text)'],
  ['Lynx 2.9 on Linux', 'app', 'Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.8'],
  [
    'mirall 3.13 on Ubuntu',
    'app',
    'Mozilla/5.0 (Linux) mirall/3.13.0 (Nextcloud, ubuntu-6.5.0-35-generic ClientArchitecture: x86_64 OsArchitecture: x86_64)',
  ],
])('%s', (words, kind, userAgent) => {
  const client = describeClient(userAgent);
  expect([clientInWords(client, englishMessages), client.kind]).toEqual([words, kind]);
});
