# A task beside another: the sidecar starts first and runs as long as the main task. Each publishes a
# port of its own, and both have the directory /alloc/data.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/sidecar.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "sidecar" {
  group "sidecar" {
    network {
      port "http" {
        to = 8080
      }

      port "metrics" {
        to = 9090
      }
    }

    task "metrics" {
      driver = "pot"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":9090"]

        ports = ["metrics"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
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
  }
}
