# A log shipper beside a service: it reads the service's log in /alloc/logs, and has its network. What
# it sends comes from the service's address. This one only prints the lines.
#
#     nomad job run -var image=URL -var pot=NAME -var sidecar=NAME example-jobs/shipper.nomad.hcl

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

job "shipper" {
  group "shipper" {
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
        args    = ["serve", ":8080"]

        ports = ["http"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }

    task "shipper" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.sidecar
        tag     = "1.0"
        command = "/bin/sidecar"
        args    = ["ship", "/alloc/logs/web.stdout.0"]

        network_mode = "task:web"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
