/** What is known of clients: programs, apps, devices and systems, and the names that people use for them. */

/** A part such as `SM-S911B` or `100011886`, which is not a name that people use. */
export const MODEL_NUMBER = /(?:^|\s)(?:(?=\S*\d)(?=\S*[A-Z])[A-Z\d_-]{4,}|\d{5,})(?:\s|$)/;

/** Programs without a person, by the beginning of their user agent. */
export const PROGRAMS: readonly (readonly [RegExp, string])[] = [
  [/^(?:lib)?curl\b/i, 'curl'],
  [/^wget\b/i, 'Wget'],
  [/^HTTPie\b/i, 'HTTPie'],
  [/^PostmanRuntime\b/i, 'Postman'],
  [/^insomnia\b/i, 'Insomnia'],
  [/^(?:python[-/ ]|aiohttp\b|httpx\b|Scrapy\/|Boto3\/|aws-sdk-python\b)/i, 'Python'],
  [/^(?:Go-http-client|go-resty|fasthttp|colly)\b/i, 'Go'],
  [/^Bun\//, 'Bun'],
  [/^Deno\//, 'Deno'],
  [
    /^(?:node(?:$|[-/ ])|(?:undici|axios|superagent|cross-fetch|needle|ky|phin|wreck)\b|got(?:$|\/| \()|Next\.js Middleware)/i,
    'Node.js',
  ],
  [/^(?:Cloudflare-Workers|Vercel Edge Functions|Amazon CloudFront)\b/i, 'Edge server'],
  [
    /^(?:Java(?:$|[-/])|Apache-HttpClient|Jakarta|ReactorNetty|Vert\.?x|Jersey\/|AHC\/|async-http-client|feign(?:$|\/)|unirest-java\b)/i,
    'Java',
  ],
  [/^(?:GuzzleHttp|PHP(?:$|[-/ ])|Symfony|WordPress\/)/i, 'PHP'],
  [/^(?:Ruby(?:$|\/)|Faraday v|rest-client\/|http\.rb\/|Mechanize\/|Typhoeus\b)/i, 'Ruby'],
  [/^(?:libwww-perl|LWP|Mojolicious)\b/i, 'Perl'],
  [/^(?:reqwest|ureq|hyper|isahc)(?:$|\/)/i, 'Rust'],
  [/^(?:RestSharp|\.NET|Microsoft\.NET|Flurl)\b/i, '.NET'],
  [/^(?:hackney|Finch|mint|req)\//i, 'Elixir'],
  [/^(?:swift-server\/async-http-client|AsyncHTTPClient\b)/i, 'Swift'],
  [/^HTTP\.jl\b/, 'Julia'],
  [/^http-client\//, 'Haskell'],
  [/^(?:R \(\d|libcurl\/\S+ r-curl\b|httr2?\/)/, 'R'],
  [/\bjsdom\//, 'jsdom'],
  [/^(?:k6|Apache-JMeter|ApacheBench|Artillery|autocannon|wrk|vegeta|hey|Locust)(?:$|\/)/i, 'Load test'],
  [
    /^(?:ELB-HealthChecker|kube-probe|GoogleHC|Prometheus|Consul Health Check|Blackbox Exporter|Uptime-Kuma|check_http|Zabbix|Grafana|GoogleStackdriverMonitoring)\b/i,
    'Health check',
  ],
  [/^(?:ChatGPT|Claude|Perplexity|MistralAI)-User\b/i, 'AI assistant'],
  [/\b(?:Windows)?PowerShell\//i, 'PowerShell'],
  [/\bHeadlessChrome\//, 'Headless Chrome'],
  [/\bPhantomJS\b/, 'PhantomJS'],
  [/\b(?:ChatGPT|Claude|Perplexity|MistralAI)-User\//, 'AI assistant'],
];
/** Programs without a person, by a part of their user agent. Cubot makes phones. */
export const ROBOT =
  /[\w-]{0,40}(?<!\bcu)bot\b|[\w-]{0,40}(?:crawler|spider)\b|facebookexternalhit|meta-externalagent|Mediapartners-Google|APIs-Google|FeedFetcher-Google|Google-Read-Aloud|GoogleOther|BingPreview|SkypeUriPreview|Qwantify|ia_archiver|GTmetrix|(?<=\(compatible; ?)[\w.-]{1,40}(?=[^)]{0,200}\+https?:)|Google-InspectionTool|Yahoo! Slurp|archive\.org|Pingdom|StatusCake|Site24x7|Datadog\/?Synthetics|NewRelicPinger|Slackbot|Lighthouse/i;
/** An app of a person may be called iRobot. Robots name a page about themselves. */
export const NATIVE_APP =
  /^(?!Mozilla\/)(?!.*https?:).*(?:\bCFNetwork\/|\bokhttp\/|\biPhone\b|\biPad\b|\biOS\b|\bAndroid\b)/;

/** HTTP libraries of native apps. Some apps name nothing else. */
export const LIBRARIES: ReadonlySet<string> = new Set([
  'okhttp',
  'Dart',
  'CFNetwork',
  'Alamofire',
  'Ktor',
  'ktor-client',
]);

/** Products in the user agent of a web view that are not the app's own name. */
export const ENGINES =
  /^(?:Mozilla|AppleWebKit|Chrome|Chromium|CrMo|Safari|Mobile|Version|Gecko|Electron|KHTML|Trident|Presto|Build|CFNetwork|Darwin|QtWebEngine|JsSdk|NetType|Region|ByteLocale|VR)$/;
/** What the parser calls a page without a browser of its own. */
export const WEB_VIEWS: ReadonlySet<string> = new Set(['WebKit', 'Chrome WebView', 'Electron', 'Mozilla']);
/** Apps with a browser of their own. */
export const APPS_WITH_BROWSER =
  /^(?:Facebook|Instagram|TikTok|WeChat|Line|Snapchat|LinkedIn|GSA|Twitter|Pinterest|KAKAOTALK|Kakao.*|NAVER|Alipay|Klarna|Teams|Threads)$/i;
/** Apps that the parser does not know, or knows by another name, by what their web views say. */
export const APPS: readonly (readonly [RegExp, string])[] = [
  [/\bBarcelona \d/, 'Threads'],
  [/\b(?:musical_ly|trill_|BytedanceWebview)/, 'TikTok'],
  [/\bFBAN\/(?:Messenger|MESSENGER)|\bOrca-Android\b|\bMessengerLite/, 'Messenger'],
  [/\bTwitter for (?:iPhone|iPad|Android)\b/, 'X'],
  [/\bTelegram-Android\b/, 'Telegram'],
  [/\bLinkedInApp\b/, 'LinkedIn'],
  [/\bMSTeams\b|\bTeamsMobile|\bTeams\/\d/, 'Microsoft Teams'],
  [/\[Pinterest\//, 'Pinterest'],
  [/\bMicrosoft Outlook\b|\bOneOutlook\//, 'Outlook'],
  [/\bValve Steam\b/, 'Steam'],
];

/** The parser's names, and the names that people use. */
export const BROWSER_NAMES: Readonly<Record<string, string>> = {
  'Mobile Safari': 'Safari',
  'Mobile Firefox': 'Firefox',
  'Mobile Chrome': 'Chrome',
  'Opera Mobi': 'Opera',
  IE: 'Internet Explorer',
  IEMobile: 'Internet Explorer',
  GSA: 'Google app',
  UCBrowser: 'UC Browser',
  'MIUI Browser': 'Mi Browser',
  Epiphany: 'GNOME Web',
  KAKAOTALK: 'KakaoTalk',
  'Oculus Browser': 'Meta Quest Browser',
};
export const OS_NAMES: Readonly<Record<string, string>> = {
  'Mac OS': 'macOS',
  macOS: 'macOS',
  'Chromium OS': 'ChromeOS',
  'Chrome OS': 'ChromeOS',
  'Firefox OS': 'Firefox OS',
  GNU: 'Linux',
  ubuntu: 'Ubuntu',
  WEBOS: 'webOS',
};
/** Systems of phones and tablets, which never run on a desk. */
export const HANDHELD_SYSTEMS = /^(?:Android|iOS|HarmonyOS|OpenHarmony|KAIOS|Windows Phone)$/;
/** Systems, as native apps and command-line tools write them. */
export const NATIVE_SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\biPadOS\b/i, 'iPadOS'],
  [/\bwatchOS\b|\bWatch OS\b/i, 'watchOS'],
  [/\btvOS\b/i, 'tvOS'],
  [/\bvisionOS\b/i, 'visionOS'],
  [/\biOS\b/i, 'iOS'],
  [/\bWear ?OS\b/i, 'Wear OS'],
  [/\bAndroid\b/i, 'Android'],
  [/\bmac\s?OS\b/i, 'macOS'],
  [/\bWindows(?:_NT)?\b|\bwin32\b/i, 'Windows'],
  [/\bLinux\b/i, 'Linux'],
];
/** Systems of which the parser would only know the core. */
export const OWN_SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\bwatchOS\b|\bWatch OS\b/, 'watchOS'],
  [/\bvisionOS\b/, 'visionOS'],
  [/\btvOS\b/, 'tvOS'],
];

/** Apple's model identifiers, such as `iPhone15,2`, and what they stand for. */
export const APPLE_MODEL =
  /\b(iPhone|iPad|iPod|Watch|AppleTV|AudioAccessory|RealityDevice|MacBookPro|MacBookAir|MacBook|Macmini|MacPro|iMacPro|iMac|Mac)\d{1,2},\d{1,2}\b/i;
export const APPLE_DEVICES: Readonly<Record<string, { readonly device: string; readonly os: string | null }>> = {
  iphone: { device: 'iPhone', os: 'iOS' },
  ipad: { device: 'iPad', os: 'iPadOS' },
  ipod: { device: 'iPod touch', os: 'iOS' },
  watch: { device: 'Apple Watch', os: 'watchOS' },
  appletv: { device: 'Apple TV', os: 'tvOS' },
  audioaccessory: { device: 'HomePod', os: null },
  realitydevice: { device: 'Apple Vision Pro', os: 'visionOS' },
};

/** As the network libraries of iOS apps write it: `Acme/2.1 (iPad; iOS 17.5; Scale/2.00)`. */
export const IPAD_APP = /\(iPad; (?:iOS|iPadOS) /;
/** Browsers on an iPad, or on an iPhone that asks for desktop pages, which say that they are on a Mac. Macs send none of these. */
export const IPAD_AS_MAC =
  /\(Macintosh;.*\b(?:CriOS|FxiOS|EdgiOS|OPiOS|OPT|OPX|GSA|DuckDuckGo\/\d+ Mobile|YaBrowser\/\S+ Mobile|Mobile)\//;

export const TELEVISION =
  /Web0S|Smart-?TV|HbbTV|CE-HTML|NetCast|VIDAA|\bSTB\b|_STB_|\bNETTV\b|\bGoogle ?TV\b|\bAndroid ?TV\b|AppleTV|\bOpera TV\b|\bOMI\/|Espial|InettvBrowser|\bAQUOS|\bVIERA\b|Philips\/|\bTitanOS\b|WhaleTV|Vewd|Vestel|\bSky_|\bVIZIO\b|\bTiVo\/|\bFreebox\b|; Chromecast\b|\bMIBOX|\bMiTV/i;
export const TELEVISION_MAKERS =
  /\b(Samsung|LG|Sony|Panasonic|Philips|Hisense|TCL|Sharp|Toshiba|Vestel|Grundig|Loewe|Vizio|Skyworth|Xiaomi|Hitachi|JVC)\b/i;
export const WATCH =
  /\bApple ?Watch\b|\bwatchOS\b|\bWatch OS\b|\(Watch;|\b(?:Pixel|Galaxy) Watch\b|\bWear ?OS\b|\bgwear_/i;
export const HEADSET =
  /\bOculusBrowser\b|\bMobile VR\b|\bQuest \d|\bPico(?: Neo)? ?\d|\bWolvic\b|\bvisionOS\b|\bVision Pro\b/i;
export const CAR =
  /\bTesla\/|\bQtCarBrowser\b|\bAndroid Automotive\b|\b(?:Polestar|Rivian)\b|\b(?:Volvo|Renault)\b.*(?:Car\b|Android 1\d)/i;
/** E-readers, which say that they are tablets or phones. */
export const E_READER = /\b(Kindle|Kobo|tolino|PocketBook|NOOK|BOOX)\b/i;
export const E_READERS: Readonly<Record<string, string>> = {
  kindle: 'Kindle',
  kobo: 'Kobo',
  tolino: 'tolino',
  pocketbook: 'PocketBook',
  nook: 'NOOK',
  boox: 'BOOX',
};
