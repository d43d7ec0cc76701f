// Writes intl.json: amounts as Node's Intl formats them in 60 locales, and names of
// payees. Run with Node 20 or later: node intl.mjs
import { writeFileSync } from 'node:fs';

// The currency of each locale. EUR and USD are added to all.
const currencies = {
  'af-ZA': 'ZAR', am: 'ETB', 'ar-AE': 'AED', 'ar-DZ': 'DZD', 'ar-EG': 'EGP', 'ar-MA': 'MAD', 'ar-SA': 'SAR', az: 'AZN',
  bg: 'BGN', bn: 'BDT', 'bn-IN': 'INR', ca: 'EUR', cs: 'CZK', da: 'DKK', de: 'EUR', 'de-AT': 'EUR', 'de-CH': 'CHF', dz: 'BTN',
  el: 'EUR', 'en-AU': 'AUD', 'en-GB': 'GBP', 'en-IN': 'INR', 'en-US': 'USD', 'en-ZA': 'ZAR', es: 'EUR', 'es-AR': 'ARS',
  'es-MX': 'MXN', et: 'EUR', eu: 'EUR', fa: 'IRR', fi: 'EUR', fil: 'PHP', fr: 'EUR', 'fr-CA': 'CAD', 'fr-CH': 'CHF', ga: 'EUR',
  gu: 'INR', he: 'ILS', hi: 'INR', hr: 'EUR', hu: 'HUF', hy: 'AMD', id: 'IDR', is: 'ISK', it: 'EUR', 'it-CH': 'CHF', ja: 'JPY',
  ka: 'GEL', kk: 'KZT', km: 'KHR', ko: 'KRW', lo: 'LAK', lt: 'EUR', lv: 'EUR', mk: 'MKD', ml: 'INR', mn: 'MNT', mr: 'INR',
  ms: 'MYR', my: 'MMK', nb: 'NOK', ne: 'NPR', nl: 'EUR', pa: 'INR', pl: 'PLN', ps: 'AFN', 'pt-BR': 'BRL', 'pt-PT': 'EUR',
  ro: 'RON', ru: 'RUB', si: 'LKR', sk: 'EUR', sl: 'EUR', sq: 'ALL', sr: 'RSD', sv: 'SEK', sw: 'KES', ta: 'INR', te: 'INR',
  th: 'THB', tr: 'TRY', uk: 'UAH', ur: 'PKR', uz: 'UZS', vi: 'VND', 'zh-Hans': 'CNY', 'zh-Hant': 'TWD', zu: 'ZAR',
};

function amounts(locale, own) {
  const all = new Set();
  for (const currency of new Set([own, 'EUR', 'USD'])) {
    for (const currencyDisplay of ['symbol', 'narrowSymbol', 'code', 'name']) {
      for (const currencySign of ['standard', 'accounting']) {
        const format = new Intl.NumberFormat(locale, { style: 'currency', currency, currencyDisplay, currencySign });
        all.add(format.format(1234567.5));
        all.add(format.format(-9876.5));
      }
    }
  }
  return [...all];
}

// Names of shops and people in the scripts of the locales, as they are spelled, with the
// joiners, marks and selectors that they are typed with.
const payees = [
  'Café', 'Cafe\u0301 Zoe\u0308', 'Müller & Søn (Żary)', 'Đặng Thị Ngọc', 'Nguye\u0302\u0303n Va\u0306n A', 'Ænes Þór', 'O’Brien', "L'Oréal",
  'Παντοπωλείο', 'Кафе «Ёлка»', 'Й и Й', 'Ի. Պետրոսյան', 'თბილისი', 'ቡና ቤት', 'חנות פרחים', 'בֵּית קָפֶה', '\u200fחנות 24\u200f',
  'متجر النور', 'مَتْجَر', 'فروشگاه می\u200cخواهم', 'نان\u200cوایی ۲۴\u200cساعته', 'نرم\u200cافزار PDF\u200cها', 'دکان نمبر ۵', 'پلورنځی',
  'क्\u200dष & पुत्र', 'क़मर', 'শ্রী র\u200d্যাম', 'ਦੁਕਾਨ', 'દુકાન', 'ଦୋକାନ', 'கடை', 'దుకాణం', 'ಅಂಗಡಿ', 'രാജു അവന്\u200d', 'അവൻ', 'ශ්\u200dරී ලංකා', 'ක්\u200d',
  'ร้านกาแฟ', 'ร้าน\u200bกาแฟ', 'ຮ້ານກາເຟ', 'ကော်ဖီဆိုင်', 'ဆိုင်\u200bကြီး', 'ហាង\u200bកាហ្វេ', 'བོད་ཇ་ཁང', 'ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ', 'ᠮᠣᠩᠭᠣᠯ\u180eᠠ\u180b',
  '東京電力', '東京\u3000電力', 'ﾄｳｷｮｳ', 'カ\u3099ス', 'ガス', '葛\u{E0100}城屋', '全聚德（北京）', '대한민국', '\u1112\u1161\u11ab국',
  '❤\uFE0F Bakery', '☕ Café', '👩\u200d🍳 Bakery', '👩🏽\u200d🍳', '🏳\uFE0F\u200d🌈 Bar', '👨\u200d👩\u200d👧 Shop', '1\uFE0F\u20E3 Shop', '🇩🇪 Shop', '⛓\uFE0F\u200d💥',
  '\u00a0Acme\u00a0', 'Acme\u00a0\u00a0Ltd', 'Do\u00ADnau\u00ADdampf', '\uFEFFAcme', 'Auf\u200clage', 'Acme\u2009Ltd.', '\u200eAcme (שלום)\u200e',
];

const locales = Object.keys(currencies);
const supported = Intl.NumberFormat.supportedLocalesOf(locales);
if (supported.length !== locales.length) throw new Error('this Node lacks locales; it needs full ICU data');
const data = {
  made: `node intl.mjs, ICU ${process.versions.icu}, CLDR ${process.versions.cldr}`,
  amounts: Object.fromEntries(locales.map((locale) => [locale, amounts(locale, currencies[locale])])),
  payees,
};
const escape = (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0');
writeFileSync(new URL('intl.json', import.meta.url), JSON.stringify(data, null, 1).replace(/[^\P{Zs} ]|\p{Cf}|\p{Mn}/gu, (s) => [...Array(s.length).keys()].map((i) => escape(s[i])).join('')) + '\n');
