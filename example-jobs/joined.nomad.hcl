# A sidecar in the network of its service: the same address and the same localhost. It starts when
# the service runs, and is restarted with it. Ports are published by the service.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/joined.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "joined" {
  group "joined" {
    network {
      port "http" {
        to = 8080
      }

      port "proxy" {
        to = 9090
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

        ports = ["http", "proxy"]
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
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":9090"]

        network_mode = "task:web"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
