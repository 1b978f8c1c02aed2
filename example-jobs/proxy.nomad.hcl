# A service behind a proxy. The proxy is a sidecar in the network of the service, and reaches it over
# localhost, where nobody else does. It starts when the service runs, and is restarted with it. The
# service publishes the proxy's port, since the network is its own.
#
#     nomad job run -var image=URL -var pot=NAME -var sidecar=NAME example-jobs/proxy.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the images' files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

variable "sidecar" {
  type        = string
  default     = "sidecar"
  description = "an image with /bin/sidecar, of e2e/testdata/sidecar"
}

job "proxy" {
  group "proxy" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "web" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", "127.0.0.1:9090"]

        ports = ["http"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }

    task "proxy" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.sidecar
        tag     = "1.0"
        command = "/bin/sidecar"
        args    = ["proxy", ":8080", "127.0.0.1:9090"]

        network_mode = "task:web"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
