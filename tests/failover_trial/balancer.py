"""HAProxy, in front of the database and of the service."""

from processes import Process, free_port, program_of, until

DEFAULTS = """global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 3s
    retries 2
    option redispatch
"""


class Balancer:
    """One address for the leader of the database, and one for each role of the service."""

    def __init__(self, folder, database, ports_by_role):
        self.ports = {role: free_port() for role in ports_by_role}
        file = folder / "haproxy.cfg"
        sections = [role_section(role, self.ports[role], ports) for role, ports in ports_by_role.items()]
        file.write_text(DEFAULTS + database.haproxy_section() + "".join(sections))
        self.process = Process("haproxy", folder, [program_of("haproxy", "/usr/sbin/haproxy"), "-db", "-f", file], "postgres")

    def url(self, role):
        return f"http://127.0.0.1:{self.ports[role]}"

    def start(self, database):
        self.process.start()
        until(20, "HAProxy leads to the leader", database.answers, [self.process])


def role_section(role, port, processes):
    """HAProxy asks each process of a role whether it is ready for it. It keeps no idle connection that a stopping process could close."""
    servers = "".join(f"    server {name} 127.0.0.1:{own_port} check\n" for name, own_port in processes.items())
    return f"""listen {role}
    bind 127.0.0.1:{port}
    option http-server-close
    option httpchk
    http-check send meth GET uri /readyz/{role} ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server inter 1s fall 1 rise 1
{servers}"""
