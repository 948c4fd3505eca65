//! How a claim token gets from a screen to a phone: a link and a picture of it.

use channel::inbound::commands::ClaimToken;
use qrcode::QrCode;
use qrcode::render::svg;

/// Opens a chat with the sender, with the token ready to be sent.
pub(crate) fn link(whatsapp_number: &str, token: &ClaimToken) -> String {
    let digits: String = whatsapp_number.chars().filter(char::is_ascii_digit).collect();
    format!("https://wa.me/{digits}?text={}", token.to_text())
}

/// The link as a QR code, an SVG document that scales.
pub(crate) fn qr_svg(link: &str) -> String {
    let code = QrCode::new(link.as_bytes()).expect("a link is much shorter than what a QR code holds");
    code.render::<svg::Color<'_>>().min_dimensions(240, 240).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_reads_the_link_and_sends_the_token() {
        let token = ClaimToken::generate(&mut rand::rng());
        let link = link("whatsapp:+14155238886", &token);

        let text = link.strip_prefix("https://wa.me/14155238886?text=").unwrap();

        assert_eq!(text, token.to_text());
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "needs no escaping: {text}");
    }

    #[test]
    fn the_picture_holds_the_link() {
        let link = "https://wa.me/14155238886?text=LINK-ABCD-EFGH";
        let svg = qr_svg(link);

        // The renderer draws each dark module as a rectangle in one path; a reader of pictures gets them as pixels.
        let read = decode(&svg);

        assert_eq!(read, link);
    }

    fn decode(svg: &str) -> String {
        let attribute = |name: &str| -> usize {
            let after = svg.split_once(&format!(" {name}=\"")).unwrap().1;
            after.split_once('"').unwrap().0.parse().unwrap()
        };
        let (width, height) = (attribute("width"), attribute("height"));
        let mut dark = vec![false; width * height];
        let path = svg.rsplit_once(" d=\"").unwrap().1.split_once('"').unwrap().0;
        for rectangle in path.split('M').filter(|part| !part.is_empty()) {
            let (at, size) = rectangle.split_once('h').unwrap();
            let (x, y) = at.split_once([',', ' ']).unwrap();
            let (w, rest) = size.split_once('v').unwrap();
            let h = rest.split_once('H').unwrap().0;
            let number = |text: &str| text.trim().parse::<usize>().unwrap();
            for row in number(y)..number(y) + number(h) {
                dark[row * width + number(x)..][..number(w)].fill(true);
            }
        }
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            if dark[y * width + x] { 0 } else { 255 }
        });
        image.detect_grids()[0].decode().unwrap().1
    }
}
