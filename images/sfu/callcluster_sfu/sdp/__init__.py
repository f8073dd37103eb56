"""Session descriptions: text to values and back, without I/O.

The subset that WebRTC endpoints exchange: RFC 8866 lines with the attributes of RFC 8829 (JSEP). Attributes
outside of it are skipped, as RFC 8866 section 5.13 asks.
"""

from callcluster_sfu.sdp.error import SdpError
from callcluster_sfu.sdp.limits import Limits
from callcluster_sfu.sdp.parse import parse
from callcluster_sfu.sdp.serialize import serialize

__all__ = ["Limits", "SdpError", "parse", "serialize"]
