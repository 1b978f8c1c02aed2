# A job as those for nomad-pot-driver are written: its keys, in all their forms.
job "old" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 1

    task "block" {
      driver = "pot"

      service {
        name = "web"
        port = "http"

        check {
          type     = "tcp"
          interval = "60s"
          timeout  = "30s"
        }
      }

      config {
        image   = "https://images.example.org/web"
        pot     = "web-amd64-14_2"
        tag     = "1.2.3"
        command = "web"
        args    = ["-g", "'daemon off;'", "\"two words\"", "plain"]

        network_mode = "public-bridge"

        port_map {
          http = "80"
        }

        copy            = ["HERE/web.conf:/usr/local/etc/web/web.conf"]
        mount           = ["HERE/www:/mnt"]
        mount_read_only = ["HERE/certs:/certs"]
        extra_hosts     = ["db:10.0.0.7", "six:2001:db8::7"]
        attributes      = ["mlock:YES", "no-rc-script:ON"]
      }

      resources {
        cpu    = 200
        memory = 64

        network {
          mbits = 10
          port "http" {}
        }
      }
    }

    task "attribute" {
      driver = "pot"

      config {
        image    = "https://images.example.org/web"
        pot      = "web-amd64-14_2"
        tag      = "1.2.3"
        command  = "web"
        port_map = { http = "80" }
      }
    }

    # A mail server: bare name, slash at the end of image, static ports, one file mounted,
    # an environment from a template.
    task "static" {
      driver = "pot"

      template {
        data        = "MAIL_NAME={{ env \"NOMAD_TASK_NAME\" }}"
        destination = "secrets/mail.env"
        env         = true
      }

      config {
        image   = "https://images.example.org/mail/"
        pot     = "mail-nomad-amd64-13_1"
        tag     = "1.1.13"
        command = "cook"
        args    = [""]
        mount   = ["HERE/data:/var/mail", "HERE/web.conf/one.conf:/usr/local/etc/mail.conf"]
      }

      resources {
        network {
          port "smtp" {
            static = 25
          }
          port "http" {
            static = 80
          }
          port "https" {
            static = 443
          }
        }
      }
    }

    task "host" {
      driver = "pot"

      config {
        image        = "https://images.example.org/web"
        pot          = "web-amd64-14_2"
        tag          = "1.2.3"
        network_mode = "host"
      }
    }
  }
}
