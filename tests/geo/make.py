"""Writes places.mmdb: loopback addresses with invented places, for the tests.

Needs `pip install mmdb_writer netaddr`. Run it in this directory.
"""

from mmdb_writer import MMDBWriter
from netaddr import IPSet

writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Selvedge-Test-City", languages=["en"])
writer.insert_network(
    IPSet(["127.0.0.0/8"]),
    {
        "city": {"names": {"en": "Malmö"}},
        "country": {"iso_code": "SE", "names": {"en": "Sweden"}},
        "subdivisions": [{"iso_code": "M", "names": {"en": "Skåne County"}}],
        "location": {"latitude": 55.605, "longitude": 13.0038, "time_zone": "Europe/Stockholm"},
        "postal": {"code": "211 20"},
    },
)
writer.to_db_file("places.mmdb")
