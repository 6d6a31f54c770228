import fc from 'fast-check';
import { englishMessages } from '../../lib/http/messages.js';
import { ACCEPT_CH, clientHints, packHints, rawUserAgent, sightedUserAgent } from '../../lib/http/client-hints.js';
import { CLIENT_KINDS, clientInWords, describeClient, type ClientKind } from '../../lib/http/user-agent.js';
import { germanMessages } from './german-messages.js';

const inWords = (kept: string | null): string => clientInWords(describeClient(kept), englishMessages);

/** Real user agents, and what people call such a client. */
const CLIENTS: readonly (readonly [words: string, kind: ClientKind, userAgent: string])[] = [
  ['Firefox on Windows', 'desktop', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0'],
  [
    'Chrome on Windows',
    'desktop',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
  ],
  [
    'Edge on Windows',
    'desktop',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0',
  ],
  [
    'Opera on Windows',
    'desktop',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 OPR/114.0.0.0',
  ],
  [
    'Vivaldi on Windows',
    'desktop',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.6668.71 Safari/537.36 Vivaldi/6.9.3447.46',
  ],
  ['Internet Explorer on Windows 7', 'desktop', 'Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko'],
  [
    'Chrome on Windows 8.1',
    'desktop',
    'Mozilla/5.0 (Windows NT 6.3; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36',
  ],
  ['Internet Explorer on Windows 8', 'desktop', 'Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)'],
  [
    'Safari on Mac',
    'desktop',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15',
  ],
  [
    'Chrome on Mac',
    'desktop',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
  ],
  ['Firefox on Mac', 'desktop', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:131.0) Gecko/20100101 Firefox/131.0'],
  ['Firefox on Linux', 'desktop', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'],
  ['Firefox on Ubuntu', 'desktop', 'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0'],
  [
    'Chrome on Linux',
    'desktop',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
  ],
  [
    'Chrome on ChromeOS',
    'desktop',
    'Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
  ],
  [
    'GNOME Web on Linux',
    'desktop',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15 Epiphany/605.1.15',
  ],
  ['Firefox on FreeBSD', 'desktop', 'Mozilla/5.0 (X11; FreeBSD amd64; rv:130.0) Gecko/20100101 Firefox/130.0'],
  [
    'Safari on iPhone',
    'phone',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1',
  ],
  [
    'Chrome on iPhone',
    'phone',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/129.0.6668.69 Mobile/15E148 Safari/604.1',
  ],
  [
    'Firefox on iPhone',
    'phone',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/131.0 Mobile/15E148 Safari/605.1.15',
  ],
  [
    'Edge on iPhone',
    'phone',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) EdgiOS/128.0.2739.60 Version/17.0 Mobile/15E148 Safari/604.1',
  ],
  [
    'Safari on iPad',
    'tablet',
    'Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1',
  ],
  [
    'Chrome on iPad',
    'tablet',
    'Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/129.0.6668.69 Mobile/15E148 Safari/604.1',
  ],
  [
    'Safari on iPod touch',
    'phone',
    'Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1',
  ],
  [
    'Chrome on Android',
    'phone',
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36',
  ],
  [
    'Chrome on Android',
    'tablet',
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
  ],
  [
    'Chrome on Pixel 8 Pro',
    'phone',
    'Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.6367.82 Mobile Safari/537.36',
  ],
  [
    'Samsung Internet on Android',
    'phone',
    'Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36',
  ],
  [
    'Chrome on Android',
    'tablet',
    'Mozilla/5.0 (Linux; Android 12; SM-T870) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/103.0.5060.129 Safari/537.36',
  ],
  ['Firefox on Android', 'phone', 'Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0'],
  ['Firefox on Android', 'tablet', 'Mozilla/5.0 (Android 13; Tablet; rv:130.0) Gecko/130.0 Firefox/130.0'],
  [
    'Mi Browser on Redmi Note 8 Pro',
    'phone',
    'Mozilla/5.0 (Linux; Android 11; Redmi Note 8 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.136 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.6.1-gn',
  ],
  [
    'Opera on Android',
    'phone',
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36 OPR/84.0.0.0',
  ],
  [
    'UC Browser on Android',
    'phone',
    'Mozilla/5.0 (Linux; U; Android 10; en-US; RMX1911 Build/QKQ1.200209.002) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/78.0.3904.108 UCBrowser/13.4.0.1306 Mobile Safari/537.36',
  ],
  [
    'Silk on Fire tablet',
    'tablet',
    'Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/124.4.2 like Chrome/124.0.6367.113 Safari/537.36',
  ],
  [
    'Edge on Android',
    'phone',
    'Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.6668.54 Mobile Safari/537.36 EdgA/128.0.2739.60',
  ],
  [
    'Samsung TV',
    'television',
    'Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36',
  ],
  [
    'LG TV',
    'television',
    'Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 DMOST/2.0.0 (; LGE; webOSTV; WEBOS23.20.58 04.20.58; W23_K8HPP;DTV_W23P;)',
  ],
  [
    'Fire TV',
    'television',
    'Mozilla/5.0 (Linux; Android 7.1.2; AFTMM Build/NS6265; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/70.0.3538.110 Mobile Safari/537.36',
  ],
  [
    'Sony TV',
    'television',
    'Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2 Build/PTT1.190515.001.S52) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.6367.82 Safari/537.36',
  ],
  [
    'Chromecast',
    'television',
    'Mozilla/5.0 (Linux; Android 12.0; Build/STTE.230319.008.H1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.6261.64 Safari/537.36 CrKey/1.56.500000 DeviceType/AndroidTV',
  ],
  ['Roku', 'television', 'Roku/DVP-12.5 (12.5.0.4178-C2)'],
  ['Apple TV', 'television', 'AppleTV11,1/11.1'],
  [
    'PlayStation 5',
    'television',
    'Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15',
  ],
  [
    'Xbox One',
    'television',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0.0.0 Safari/537.36 Edge/44.18363.8131',
  ],
  [
    'Instagram on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 337.0.3.23.54 (iPhone14,5; iOS 17_5_1; de_DE; de; scale=3.00; 1170x2532; 614327543)',
  ],
  [
    'Facebook on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21G93 [FBAN/FBIOS;FBAV/480.0.0.40.108;FBBV/645193014;FBDV/iPhone15,3;FBMD/iPhone;FBSN/iOS;FBSV/17.6.1;FBSS/3;FBID/phone;FBLC/en_US;FBOP/5]',
  ],
  [
    'App on Pixel 7',
    'app',
    'Mozilla/5.0 (Linux; Android 14; Pixel 7 Build/UQ1A.240205.002; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/121.0.6167.178 Mobile Safari/537.36',
  ],
  [
    'App on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
  ],
  [
    'MyApp 2.3 on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MyApp/2.3.1',
  ],
  [
    'Google app on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/330.0.661809042 Mobile/15E148 Safari/604.1',
  ],
  [
    'WeChat on Android',
    'app',
    'Mozilla/5.0 (Linux; Android 13; V2158A Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 XWEB/1160065 MMWEBSDK/20231202 MicroMessenger/8.0.47.2560(0x28002F35) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64',
  ],
  [
    'Slack 4.39 on Mac',
    'app',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.39.95 Chrome/126.0.6478.183 Electron/31.3.1 Safari/537.36',
  ],
  [
    'discord 1.0 on Windows',
    'app',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) discord/1.0.9164 Chrome/124.0.6367.243 Electron/30.2.0 Safari/537.36',
  ],
  ['MyApp 1.0 on iOS', 'app', 'MyApp for iOS/v1.0.0'],
  ['MyApp 2.14 on Android', 'app', 'MyApp for Android/v2.14.3'],
  ['MyApp 1.2 on iPhone', 'app', 'MyApp/1.2 (iPhone; iOS 17.4; Scale/3.00)'],
  ['MyApp', 'app', 'MyApp/12 CFNetwork/1474 Darwin/23.0.0'],
  ['Acme Mail 5.4 on iOS', 'app', 'Acme Mail/5.4.1 (com.example.mail; build:541; iOS 17.4.0) Alamofire/5.8.1'],
  ['MyApp 3.4 on Pixel 8', 'app', 'MyApp/3.4.0 (Android 14; Pixel 8) okhttp/4.12.0'],
  ['App on Android', 'app', 'Dalvik/2.1.0 (Linux; U; Android 13; SM-A536B Build/TP1A.220624.014)'],
  ['App using okhttp', 'app', 'okhttp/4.12.0'],
  ['App using Dart', 'app', 'Dart/3.4 (dart:io)'],
  ['curl', 'robot', 'curl/8.9.1'],
  ['Wget', 'robot', 'Wget/1.21.4'],
  ['Python', 'robot', 'python-requests/2.32.3'],
  ['Go', 'robot', 'Go-http-client/2.0'],
  ['Postman', 'robot', 'PostmanRuntime/7.41.2'],
  ['Node.js', 'robot', 'node'],
  ['Node.js', 'robot', 'axios/1.7.7'],
  ['PowerShell', 'robot', 'Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4894'],
  ['Googlebot', 'robot', 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'],
  [
    'Googlebot',
    'robot',
    'Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.6668.70 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
  ],
  [
    'bingbot',
    'robot',
    'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36',
  ],
  ['YandexBot', 'robot', 'Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)'],
  ['facebookexternalhit', 'robot', 'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)'],
  [
    'Applebot',
    'robot',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)',
  ],
  [
    'Headless Chrome',
    'robot',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/129.0.0.0 Safari/537.36',
  ],
  [
    'Chrome on Android',
    'phone',
    'Mozilla/5.0 (Linux; Android 8.1.0; CUBOT_P20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.104 Mobile Safari/537.36',
  ],
  [
    'Chrome on CUBOT X30',
    'phone',
    'Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.104 Mobile Safari/537.36',
  ],
  [
    'Chromecast',
    'television',
    'Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/92.0.4515.159 Safari/537.36 CrKey/1.56.500000 DeviceType/SmartSpeaker',
  ],
  ['Opera on Windows 7', 'desktop', 'Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18'],
  [
    'Edge on Lumia 950',
    'phone',
    'Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254',
  ],
  [
    'DuckDuckGo on Mac',
    'desktop',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 DuckDuckGo/7',
  ],
  [
    'DuckDuckGo on Android',
    'phone',
    'Mozilla/5.0 (Linux; Android 10) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/129.0.6668.70 Mobile DuckDuckGo/5 Safari/537.36',
  ],
  ['Expo', 'app', 'Expo/1017628 CFNetwork/1410.0.3 Darwin/22.6.0'],
  ['MyApp', 'app', 'MyApp/1 CFNetwork/1494.0.7 Darwin/23.4.0'],
  [
    'Chrome on Android',
    'tablet',
    'Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
  ],
  ['Unknown device', 'unknown', '-'],
];

const MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)';

/** Clients that are easily taken for something else. */
const MISTAKABLE: readonly (readonly [words: string, kind: ClientKind, userAgent: string])[] = [
  // Browsers on an iPad that say they are on a Mac.
  ['Chrome on iPad', 'tablet', `${MAC} CriOS/129.0.6668.69 Version/17.6 Mobile/15E148 Safari/604.1`],
  ['Chrome on iPad', 'tablet', `${MAC} CriOS/129 Version/11.1.1 Safari/605.1.15`],
  ['Firefox on iPad', 'tablet', `${MAC} FxiOS/131.0 Safari/605.1.15`],
  ['Edge on iPad', 'tablet', `${MAC} Version/17.0 EdgiOS/128.0.2739.60 Mobile/15E148 Safari/605.1.15`],
  ['Opera Touch on iPad', 'tablet', `${MAC} Version/17.5 Mobile/15E148 Safari/604.1 OPT/5.0.6`],
  ['App on iPad', 'app', `${MAC} Mobile/15E148`],
  [
    'Instagram on iPad',
    'app',
    `${MAC} Mobile/15E148 Instagram 337.0.3.23.54 (iPad13,4; iPadOS 17_5; de_DE; scale=2.00)`,
  ],
  ['Safari on Mac', 'desktop', `${MAC} Version/17.6 Safari/605.1.15`],
  // Names of apps as Apple's network library writes them, and Apple's model identifiers.
  ['Acme Shop', 'app', 'Acme%20Shop/37 CFNetwork/1485 Darwin/23.1.0'],
  ['Café', 'app', 'Caf%C3%A9/3 CFNetwork/1485 Darwin/23.1.0'],
  ['bad%zz', 'app', 'bad%zz/3 CFNetwork/1485 Darwin/23.1.0'],
  ['bad%0Aname', 'app', 'bad%0Aname/3 CFNetwork/1485 Darwin/23.1.0'],
  ['MyApp 1.0 on iPhone', 'app', 'MyApp/1.0 (iPhone15,2; iOS 17.4)'],
  ['MyApp 1.0 on iPad', 'app', 'MyApp/1.0 (iPad13,4; iPadOS 17.4)'],
  ['MyApp 1.0 on Mac', 'app', 'MyApp/1.0 (Macmini9,1; macOS 14.1)'],
  ['MyApp 1.0 on Mac', 'app', 'MyApp/1.0 (com.acme; build:3; macOS 14.1.0; Mac14,2) Alamofire/5.8.1'],
  ['MyApp 1.0 on iPhone', 'app', 'MyApp/1.0 iOS/17.4 model/iPhone14,7 hwp/t8110 build/21E219 (6; dt:264)'],
  ['iPhone', 'phone', 'iPhone15,2'],
  ['iPhone', 'phone', 'iPhone15,2/17.4'],
  ['iPad', 'tablet', 'iPad13,4/17.4'],
  ['Mac', 'desktop', 'MacBookPro18,3'],
  ['Outlook on iOS', 'app', 'Outlook-iOS/723.4049.prod.iphone (4.2434.0)'],
  ['MyApp 2.0 on Android', 'app', 'MyApp-Android/2.0'],
  ['iRobot 7.0 on iPhone', 'app', 'iRobot/7.0 (iPhone; iOS 17.4; Scale/3.00)'],
  // Watches.
  ['MyApp 1.2 on Apple Watch', 'app', 'MyApp/1.2 (Apple Watch; watchOS 10.4; Scale/2.00)'],
  ['MyApp on Apple Watch', 'app', 'MyApp/1 CFNetwork/1474 Darwin/23.0.0 (Watch6,2; watchOS 10.1)'],
  ['MyApp 1.0 on Apple Watch', 'app', 'MyApp/1.0 watchOS/10.4 model/Watch6,18 hwp/t8301 build/21T216 (6; dt:253)'],
  [
    'Apple Watch',
    'watch',
    'Mozilla/5.0 (Watch; CPU Watch OS 10_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)',
  ],
  ['Apple Watch', 'watch', 'Watch6,1'],
  [
    'Chrome on Pixel Watch',
    'watch',
    'Mozilla/5.0 (Linux; Android 11; Pixel Watch) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0.0.0 Mobile Safari/537.36',
  ],
  [
    'Samsung Internet on Tizen',
    'watch',
    'Mozilla/5.0 (Linux; Tizen 3.0; SAMSUNG SM-R805W) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/1.0 Chrome/47.0.2526.69 Mobile Safari/537.36',
  ],
  // Mail programs.
  [
    'Thunderbird 128.3 on Windows',
    'app',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0',
  ],
  ['Betterbird 115.9 on Linux', 'app', 'Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Betterbird/115.9.0'],
  ['Outlook on Windows', 'app', 'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)'],
  // TV sets.
  [
    'LG TV',
    'television',
    'Mozilla/5.0 (Linux; NetCast; U) AppleWebKit/537.31 (KHTML, like Gecko) Chrome/38.0.2125.122 Safari/537.31 SmartTV/7.0',
  ],
  [
    'Hisense TV',
    'television',
    'Mozilla/5.0 (Linux; U; VIDAA 6.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.152 Safari/537.36',
  ],
  [
    'Philips TV',
    'television',
    'Mozilla/5.0 (X11; Linux aarch64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0.4896.127 Safari/537.36 OMI/4.23 Philips/TPM181E',
  ],
  [
    'Panasonic TV',
    'television',
    'Mozilla/5.0 (DirectFB; Linux armv7l) AppleWebKit/534.26+ (KHTML, like Gecko) Version/5.0 Safari/534.26+ HbbTV/1.2.1 (; Panasonic; VIERA 2014; 3.101)',
  ],
  [
    'TV',
    'television',
    'Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) QtWebEngine/5.9.7 Chrome/56.0.2924.122 Safari/537.36 Sky_STB_ST412_2018/1.0.0 (Sky, EM150UK, )',
  ],
  ['Apple TV', 'television', 'AppleTV14,1/17.4'],
  [
    'Nintendo Switch',
    'television',
    'Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.2.21.3 NintendoBrowser/5.1.0.22474',
  ],
  // Headsets, cars, e-readers.
  [
    'Meta Quest Browser on Quest 3',
    'headset',
    'Mozilla/5.0 (Linux; Android 12; Quest 3) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/34.1.0.0 Chrome/126.0.6478.122 Mobile VR Safari/537.36',
  ],
  [
    'Meta Quest Browser on Quest 2',
    'headset',
    'Mozilla/5.0 (X11; Linux x86_64; Quest 2) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/34.1.0.0 Chrome/126.0.6478.122 VR Safari/537.36',
  ],
  ['MyApp 1.0 on Apple Vision Pro', 'app', 'MyApp/1.0 (Apple Vision; visionOS 1.2; Scale/2.00)'],
  [
    'Tesla',
    'car',
    'Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chromium/79.0.3945.130 Chrome/79.0.3945.130 Safari/537.36 Tesla/2022.44.25.1-abcdef',
  ],
  [
    'Chrome on Volvo Car',
    'car',
    'Mozilla/5.0 (Linux; Android 12; Volvo Car) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
  ],
  [
    'Kindle',
    'tablet',
    'Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ (KHTML, like Gecko) Version/5.0 Safari/533.2+ Kindle/3.0+',
  ],
  [
    'Android Browser on Kobo',
    'tablet',
    'Mozilla/5.0 (Linux; U; Android 2.0; en-us;) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1 (Kobo Touch 0377/4.28.17820)',
  ],
  // Web views that name their app in a way of its own.
  [
    'Threads on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Barcelona 325.0.0.24.93 (iPhone13,2; iOS 17_4; en_US; en; scale=3.00; 1170x2532)',
  ],
  [
    'TikTok on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_33.8.0 JsSdk/2.0 NetType/WIFI Channel/App Store Region/DE BytedanceWebview/d8a21c6',
  ],
  [
    'Messenger on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21G93 [FBAN/MessengerForiOS;FBAV/470.0.0;FBDV/iPhone15,3;FBSN/iOS;FBSV/17.6.1]',
  ],
  [
    'X on iPhone',
    'app',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1 Twitter for iPhone/10.34',
  ],
  [
    'Steam on Windows',
    'app',
    'Mozilla/5.0 (Windows; U; Windows NT 10.0; en-US; Valve Steam Client/default/0; ) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/85.0.4183.121 Safari/537.36',
  ],
  // Command-line tools.
  ['acme-cli 1.2 on Linux', 'app', 'acme-cli/1.2.3 (linux; x64) node/20'],
  ['acme-cli 1.2 on Linux', 'app', 'acme-cli/1.2.3 linux-x64 node-v20.10.0'],
  ['acme-cli 1.2 on macOS', 'app', 'acme-cli/1.2.3 darwin-arm64 node-v20.10.0'],
  ['acme-cli 1.2 on Windows', 'app', 'acme-cli/1.2.3 win32-x64 node-v20.10.0'],
  ['gh 2.40 on Linux', 'app', 'gh/2.40 (linux; amd64)'],
  ['kubectl 1.28 on macOS', 'app', 'kubectl/v1.28.2 (darwin/arm64) kubernetes/89a4ea3'],
  ['docker 24.0 on Linux', 'app', 'docker/24.0.7 go/go1.20.10 git-commit/311b9ff kernel/6.1 os/linux arch/amd64'],
  ['aws-cli 2.15 on macOS', 'app', 'aws-cli/2.15.0 Python/3.11.6 Darwin/23.1.0 exe/x86_64'],
  // Programs without a person.
  ['curl', 'robot', 'libcurl/8.4.0'],
  ['Wget', 'robot', 'Wget/1.21.4 (linux-gnu)'],
  ['Node.js', 'robot', 'undici'],
  ['Node.js', 'robot', 'node-fetch/1.0 (+https://github.com/bitinn/node-fetch)'],
  ['Node.js', 'robot', 'got (https://github.com/sindresorhus/got)'],
  ['Node.js', 'robot', 'Next.js Middleware'],
  ['Bun', 'robot', 'Bun/1.0.25'],
  ['Deno', 'robot', 'Deno/1.39.1'],
  ['Edge server', 'robot', 'Cloudflare-Workers'],
  ['Python', 'robot', 'python-httpx/0.25.2'],
  ['Java', 'robot', 'Java-http-client/17.0.9'],
  ['Java', 'robot', 'ReactorNetty/1.1.13'],
  ['PHP', 'robot', 'Symfony HttpClient (Curl)'],
  ['Ruby', 'robot', 'rest-client/2.1.0 (linux x86_64) ruby/3.2.2'],
  ['Rust', 'robot', 'reqwest/0.11'],
  ['.NET', 'robot', 'RestSharp/106.15.0.0'],
  ['Load test', 'robot', 'k6/0.48.0 (https://k6.io/)'],
  ['Health check', 'robot', 'ELB-HealthChecker/2.0'],
  ['Health check', 'robot', 'kube-probe/1.27'],
  [
    'GPTBot',
    'robot',
    'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)',
  ],
  [
    'AI assistant',
    'robot',
    'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot',
  ],
  [
    'PhantomJS',
    'robot',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1',
  ],
  // What only begins like a program.
  ['NodeWatch 1.0 on iPhone', 'app', 'NodeWatch/1.0 (iPhone; iOS 17.4)'],
  ['Got Milk 1.0 on iPhone', 'app', 'Got Milk/1.0 (iPhone; iOS 17.4)'],
  ['Ruby Tuesday 1.0 on iPhone', 'app', 'Ruby Tuesday/1.0 (iPhone; iOS 17.4)'],
  ['Javascript Notes 1.0 on iPhone', 'app', 'Javascript Notes/1.0 (iPhone; iOS 17.4)'],
];

describe('a client in words', () => {
  it.each([...CLIENTS, ...MISTAKABLE])('%s', (words, kind, userAgent) => {
    const client = describeClient(userAgent);
    expect(clientInWords(client, englishMessages)).toBe(words);
    expect(client.kind).toBe(kind);
    expect(client.userAgent).toBe(userAgent);
  });

  it('covers every kind there is', () => {
    expect(new Set([...CLIENTS, ...MISTAKABLE].map(([, kind]) => kind))).toEqual(new Set([...CLIENT_KINDS]));
  });

  it('speaks other languages', () => {
    const firefox = describeClient('Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0');
    expect(clientInWords(firefox, germanMessages)).toBe('Firefox auf Windows');
    expect(clientInWords(describeClient(null), germanMessages)).toBe('Unbekanntes Gerät');
  });
});

describe('describeClient', () => {
  it('gives the shape that the routes promise', () => {
    const userAgent = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0';
    expect(describeClient(userAgent)).toEqual({
      kind: 'desktop',
      name: 'Firefox',
      version: '131',
      os: 'Windows',
      device: null,
      userAgent,
    });
  });

  it('keeps the whole version of an app and the model number of a device', () => {
    expect(describeClient('MyApp for iOS/v1.0.0')).toMatchObject({ name: 'MyApp', version: '1.0.0', os: 'iOS' });
    const galaxy = CLIENTS.find(([, , userAgent]) => userAgent.includes('SM-S911B'));
    expect(describeClient(galaxy?.[2] ?? '')).toMatchObject({ device: 'Samsung SM-S911B', version: '23' });
  });

  it('answers the same object to the same text', () => {
    expect(describeClient('MyApp/7.1')).toBe(describeClient('MyApp/7.1'));
  });

  it.each<[string, string | null]>([
    ['null', null],
    ['an empty text', ''],
    ['blanks', '   '],
    ['punctuation', '/;()'],
    ['a dash', '-'],
    ['digits', '1/1'],
    ['markup', '<script>alert(1)</script>'],
    ['a lone surrogate', '\ud800'],
    ['control characters', '\u0000\u001b[31m'],
    ['a Mozilla that says no more', 'Mozilla/5.0'],
  ])('does not know %s', (_what, userAgent) => {
    expect(inWords(userAgent)).toBe('Unknown device');
  });

  it('is cut at 512 characters before anything reads it', () => {
    const client = describeClient(`MyApp/1.2 (${'x'.repeat(5000)}; iPhone)`);
    expect(client.userAgent).toHaveLength(512);
    expect(client).toMatchObject({ name: 'MyApp', os: null });
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        const client = describeClient(text);
        expect(CLIENT_KINDS).toContain(client.kind);
        expect(text.startsWith(client.userAgent ?? '')).toBe(true);
        expect(clientInWords(client, englishMessages)).not.toBe('');
      }),
      { numRuns: 300 },
    );
  });

  it('reads no text slowly', () => {
    const pieces = [
      'a',
      '-',
      '(',
      '/1.',
      ' for ',
      'bot',
      ';',
      ' ',
      'Mozilla/5.0 (',
      'Chrome/',
      'Android ',
      'SM-',
      '"',
      '\u2016',
    ];
    const hostile = pieces.flatMap((one) => pieces.map((two) => `Mozilla/5.0 ${(one + two).repeat(512)}`));
    const began = process.cpuUsage();
    for (const text of hostile) {
      describeClient(text);
      describeClient(text.slice(12));
    }
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000 / hostile.length).toBeLessThan(50);
  });
});

describe('client hints', () => {
  const CHROME =
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';
  const ANDROID =
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36';
  const BRANDS = '"Google Chrome";v="129", "Not=A?Brand";v="8", "Chromium";v="129"';
  const windows = (version: string): Record<string, string> => ({
    'user-agent': CHROME,
    'sec-ch-ua': BRANDS,
    'sec-ch-ua-mobile': '?0',
    'sec-ch-ua-platform': '"Windows"',
    'sec-ch-ua-platform-version': version,
  });

  it.each([
    ['"15.0.0"', 'Chrome on Windows 11'],
    ['"13.0.0"', 'Chrome on Windows 11'],
    ['"10.0.0"', 'Chrome on Windows 10'],
    ['"0.3.0"', 'Chrome on Windows'],
    ['"<b>"', 'Chrome on Windows'],
    ['', 'Chrome on Windows'],
  ])('Windows with platform version %s: %s', (version, words) => {
    expect(inWords(sightedUserAgent(windows(version)))).toBe(words);
  });

  it('name the phone that Chrome calls K', () => {
    const headers = {
      'user-agent': ANDROID,
      'sec-ch-ua': BRANDS,
      'sec-ch-ua-mobile': '?1',
      'sec-ch-ua-platform': '"Android"',
      'sec-ch-ua-model': '"Pixel 8"',
    };
    expect(inWords(sightedUserAgent(headers))).toBe('Chrome on Pixel 8');
    const samsung = describeClient(sightedUserAgent({ ...headers, 'sec-ch-ua-model': '"SM-S911B"' }));
    expect(samsung).toMatchObject({ kind: 'phone', device: 'Samsung SM-S911B', userAgent: ANDROID });
    expect(inWords(sightedUserAgent({ ...headers, 'sec-ch-ua-model': '"Pixel $&8"' }))).toBe('Chrome on Pixel 8');
  });

  it('name a browser that calls itself Chrome', () => {
    const brands = '"Brave";v="128", "Chromium";v="128", "Not/A)Brand";v="24"';
    const client = describeClient(sightedUserAgent({ 'user-agent': CHROME, 'sec-ch-ua': brands }));
    expect(client).toMatchObject({ name: 'Brave', version: '128', userAgent: CHROME });
  });

  it('name the system where the user agent does not', () => {
    const kept = sightedUserAgent({
      'user-agent': 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
      'sec-ch-ua': BRANDS,
      'sec-ch-ua-mobile': '?1',
      'sec-ch-ua-platform': '"Android"',
    });
    expect(describeClient(kept)).toMatchObject({ kind: 'phone', os: 'Android' });
  });

  it('are read from the headers', () => {
    expect(clientHints(windows('"15.0.0"'))).toEqual({
      brand: 'Google Chrome/129',
      platform: 'Windows',
      platformVersion: '15.0.0',
      model: null,
      mobile: false,
    });
    expect(clientHints({})).toEqual({
      brand: null,
      platform: null,
      platformVersion: null,
      model: null,
      mobile: false,
    });
  });

  it('are asked for by the two that a browser does not send unasked', () => {
    expect(ACCEPT_CH).toBe('Sec-CH-UA-Platform-Version, Sec-CH-UA-Model');
  });

  it('add nothing to what is kept where they say nothing new', () => {
    const { 'sec-ch-ua-platform-version': _version, ...headers } = windows('');
    expect(sightedUserAgent(headers)).toBe(CHROME);
    expect(packHints(CHROME, clientHints(headers))).toBe('');
  });

  it('leave the raw header as it came', () => {
    const kept = sightedUserAgent(windows('"15.0.0"'));
    expect(kept).not.toBe(CHROME);
    expect(rawUserAgent(kept)).toBe(CHROME);
    expect(describeClient(kept).userAgent).toBe(CHROME);
  });

  it('fit into 512 characters with the header, whatever either says', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 700 }),
        fc.string({ maxLength: 200 }),
        fc.string({ maxLength: 200 }),
        (agent, brand, model) => {
          const kept = sightedUserAgent({
            'user-agent': `${agent} (Linux; Android 10; K)`,
            'sec-ch-ua': `"${brand}";v="1"`,
            'sec-ch-ua-platform': '"Windows"',
            'sec-ch-ua-platform-version': `"${model}"`,
            'sec-ch-ua-model': `"${model}"`,
          });
          expect(kept?.length).toBeLessThanOrEqual(512);
          expect(`${agent} (Linux; Android 10; K)`.startsWith(rawUserAgent(kept) ?? '-')).toBe(true);
        },
      ),
    );
  });

  it.each<[string, Record<string, string>]>([
    ['no user agent', { 'sec-ch-ua': BRANDS }],
    ['an empty user agent', { 'user-agent': '' }],
  ])('keep nothing of a request with %s', (_what, headers) => {
    expect(sightedUserAgent(headers)).toBeNull();
  });
});
