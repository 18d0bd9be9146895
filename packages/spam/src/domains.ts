import { domainToASCII, domainToUnicode } from 'node:url';
import { getDomain } from 'tldts';

/**
 * @returns the domain that someone registered, by the Public Suffix List: `example.co.uk` of `mail.example.co.uk`; the host
 *   itself where there is none.
 */
export const registeredDomain = (host: string) => getDomain(host, { allowPrivateDomains: true }) ?? host.toLowerCase();

/** Characters that can make a name of 253 octets. */
const LONGEST = 512;

/** @returns a host name in ASCII and lower case; undefined for what is none. */
export function asciiHost(host: string): string | undefined {
  if (host.length > LONGEST) return undefined;
  const ascii = domainToASCII(host.replace(/\.+$/, ''));
  return ascii === '' || ascii.length > 253 ? undefined : ascii;
}

export const unicodeHost = (host: string) => domainToUnicode(host);

const SECOND_NAMES = 'yahoo hotmail outlook live gmx aol msn ymail';
const FREE = new RegExp(
  `^(?:(?:${SECOND_NAMES.replaceAll(' ', '|')})\\.[a-z.]{2,6}|(?:gmail|googlemail|icloud|proton|protonmail|mail|email|inbox|zoho|` +
    'fastmail|hushmail|excite|lycos|rediffmail|qq|163|126|sina|yandex|rambler|bk|list|naver|daum|web|freenet|t-online|tutanota|' +
    'laposte|orange|libero|virgilio|terra|uol|bol|wp|o2|seznam|netscape|juno|usa|caramail|onebox|mailcity|eudoramail)' +
    '\\.(?:com|net|org|de|fr|it|es|ru|cn|kr|pl|cz|me|br|co\\.kr|com\\.br|com\\.cn))$',
);

/** @returns whether anyone gets a mailbox of this domain for nothing. */
export const isFreeMail = (domain: string) => FREE.test(domain);
