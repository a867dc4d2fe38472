"""Rakuten's order mail as shops get it: plain text in ISO-2022-JP, labels in the order of the fact sheet."""

from __future__ import annotations

from email.header import Header
from email.message import Message

from syncd.testing.world import TruthOrder
from syncd_rakuten.wire import order_time

SENDER = "order@rakuten.co.jp"
SUBJECT = "【楽天市場】注文内容ご確認（自動配信メール）"


def mail_of(order: TruthOrder) -> bytes:
    """The mail about a new order, whose buyer and goods are made up."""
    items = "\n----------\n".join(
        f"商品 ({line.listing.partition('/')[0]})\nSKU管理番号:{line.listing.partition('/')[2]}\n"
        f"価格 100(円) x {line.ordered}(個) = {100 * line.ordered}(円) ※10%税込"
        for line in order.lines
    )
    text = (
        "この度はお買い上げいただき、誠にありがとうございます。\n\n"
        f"[受注番号] {order.number}\n[日時] {order_time(order.placed_at)}\n[注文者] 楽天 花子 様\n"
        f"[支払方法] クレジットカード\n[配送方法] 宅配便\n[備考]\n\n[ショップ名] emulated-shop\n[送付先] 楽天 花子 様\n"
        f"[商品]\n{items}\n"
    )
    mail = Message()
    mail["From"] = SENDER
    mail["To"] = "shop@example.com"
    mail["Subject"] = Header(SUBJECT, "iso-2022-jp").encode()
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = "text/plain; charset=ISO-2022-JP"
    mail["Content-Transfer-Encoding"] = "7bit"
    mail.set_payload(text.encode("iso-2022-jp", "replace").decode("ascii"))
    return mail.as_bytes().replace(b"\n", b"\r\n")
